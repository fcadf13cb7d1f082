"""``elspeth plugins``, ``elspeth plugin new`` and ``elspeth schema``."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.plugins.registry import KINDS, load_catalog

Cli = Callable[..., Any]


def test_the_list(cli: Cli) -> None:
    out = cli("plugins").out
    assert out == cli("plugins", "list").out
    assert out.startswith("kind        name              what it does\n────")
    assert "\ntransform   truncate          Cut long text to a length.\n" in out


def test_the_list_of_a_kind_as_json(cli: Cli) -> None:
    listed = cli("plugins", "list", "sink", "--json").json["plugins"]
    assert [plugin["name"] for plugin in listed] == list(load_catalog().names("sink"))
    assert cli("plugins", "--json", "list", "sink").json["plugins"] == listed


def test_an_unknown_kind(cli: Cli) -> None:
    said = cli("plugins", "list", "sources")
    assert (said.code, said.err) == (
        2,
        "error: there are no plugins of kind 'sources'\n  fix: did you mean source?\n",
    )
    assert cli("plugins", "list", "x").err.endswith("fix: the kinds are source, transform, sink\n")


def test_one_plugin(cli: Cli) -> None:
    out = cli("plugins", "inspect", "transform", "truncate").out
    assert out.startswith(
        "transform truncate  1.0.0\nCut long text to a length.\n"
        "deterministic; from elspeth (elspeth.plugins.transforms.truncate)\n\n"
    )
    assert "\nfields" in out
    assert "required" in out


def test_an_unknown_plugin(cli: Cli) -> None:
    said = cli("plugins", "inspect", "source", "cvs")
    assert (said.code, said.err) == (
        2,
        "error: there is no source plugin 'cvs'\n  fix: did you mean 'csv'?\n",
    )


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in load_catalog().names(kind)]
)
def test_every_plugin_can_be_inspected(cli: Cli, kind: Any, name: str) -> None:
    shown = cli("plugins", "inspect", kind, name)
    assert (shown.code, shown.err) == (0, "")
    assert max(map(len, shown.out.splitlines())) <= 80
    assert cli("plugins", "inspect", kind, name, "--json").json["name"] == name


def test_a_new_plugin_passes_its_test(cli: Cli, here: Path) -> None:
    said = cli("plugin", "new", "postcode")
    assert said.code == 0
    assert "made elspeth-postcode/pyproject.toml\n" in said.out
    assert "  pytest elspeth-postcode\n" in said.err
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=here / "elspeth-postcode", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_plugin_elsewhere_as_json(cli: Cli, here: Path) -> None:
    made = cli("plugin", "new", "crm", "--kind", "source", "--directory", "plugins", "--json").json
    assert all((here / file).is_file() for file in made["files"])
    assert made["commands"][0] == "pip install -e plugins/elspeth-crm"


def test_a_name_that_is_taken(cli: Cli) -> None:
    said = cli("plugin", "new", "truncate")
    assert (said.code, said.err) == (
        2, "error: there is a transform 'truncate' already\n  fix: choose another name\n"
    )  # fmt: skip


def test_the_schema_names_every_plugin(cli: Cli) -> None:
    said = cli("schema")
    assert said.json["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert all(f'"{name}"' in said.out for kind in KINDS for name in load_catalog().names(kind))
    assert cli("schema", "--json").out == said.out
