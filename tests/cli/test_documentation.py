"""docs/reference/cli.md covers every command and option, and every help text has an example."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from elspeth.cli.lazy import COMMANDS
from elspeth.cli.main import app, main

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"


def walk(command: Any, name: str) -> dict[str, Any]:
    found = {name: command}
    for child in getattr(command, "commands", {}):
        below = command.get_command(None, child)
        found |= walk(below, f"{name} {child}")
    return found


ALL = walk(get_command(app), "elspeth")


def section(name: str) -> str:
    parts = re.split(r"^## `(.*)`$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(name, "")


def test_the_commands_are_all_there() -> None:
    assert set(ALL) == {
        "elspeth", *(f"elspeth {name}" for name in COMMANDS),
        "elspeth runs show", "elspeth plugins list", "elspeth plugins inspect", "elspeth plugin new",
        "elspeth keys new", "elspeth manifest show", "elspeth manifest sign", "elspeth manifest verify",
        *(f"elspeth fleet {name}" for name in ("plan", "apply", "status", "destroy", "sweep", "schema")),
        *(f"elspeth approvals {name}" for name in ("list", "show", "approve", "reject")),
        *(f"elspeth providers {name}" for name in ("status", "serve", "manifest")),
        *(f"elspeth experiment {name}" for name in ("list", "status", "compare", "power", "flips", "pairs")),
    }  # fmt: skip


def test_nothing_else_is_documented() -> None:
    assert set(re.findall(r"^## `(.*)`$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_argument_and_option_is_documented_with_an_example(name: str) -> None:
    text = section(name)
    assert f"$ {name}" in text
    for parameter in ALL[name].params:
        if getattr(parameter, "hidden", False):
            continue
        words = [parameter.metavar] if parameter.param_type_name == "argument" else parameter.opts
        assert [word for word in words if f"`{word}`" not in text] == []


@pytest.mark.parametrize("name", [name for name in ALL if name != "elspeth"])
def test_every_help_text_has_examples_that_can_be_typed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*name.split()[1:], "--help"]) == 0
    examples = capsys.readouterr().out.partition("Examples:\n")[2].splitlines()
    assert examples
    assert all(line.strip().startswith(name) for line in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    assert ALL[f"elspeth {name}"].help.partition("\n")[0] == COMMANDS[name]
