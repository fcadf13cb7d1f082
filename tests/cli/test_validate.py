"""``elspeth validate``: a verdict, or every problem with its place and a way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.cli import errors

Cli = Callable[..., Any]

WRONG = """\
source: {plugin: csvv, options: {path: orders.csv}}
sinks:
  out: {plugin: csv, options: {path: out.csv, delimitter: ";"}}
"""
TOLD = """\
2 problems in the pipeline
wrong.yaml:1:18: there is no source plugin 'csvv'
  1 | source: {plugin: csvv, options: {path: orders.csv}}
    |                  ^
  fix: did you mean 'csv'?
wrong.yaml:3:47: unknown key 'delimitter' in sinks.out.options
  3 |   out: {plugin: csv, options: {path: out.csv, delimitter: ";"}}
    |                                               ^
  fix: did you mean 'delimiter'?
"""


@pytest.fixture
def wrong(here: Path) -> str:
    (here / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    return "wrong.yaml"


def test_a_valid_file(cli: Cli, here: Path, write_pipeline: Callable[..., Path]) -> None:
    write_pipeline("1,5,x")
    said = cli("validate", "pipeline.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "valid  pipeline.yaml  (5 nodes, 7 edges)\nsource  id: int  amount: float  note: str?\n"
    )
    assert sorted(path.name for path in here.iterdir()) == ["orders.csv", "pipeline.yaml"]


def test_many_columns_wrap_between_the_fields(cli: Cli, here: Path) -> None:
    names = [f"column_number_{number}" for number in range(8)]
    lines = [",".join(names), ",".join("1" * len(names))]
    (here / "wide.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (here / "wide.yaml").write_text(
        "source: {plugin: csv, options: {path: wide.csv}}\n"
        "sinks: {out: {plugin: csv, options: {path: out.csv}}}\n",
        encoding="utf-8",
    )
    out = cli("validate", "wide.yaml").out
    assert out.splitlines()[1:3] == [
        "source  column_number_0: int?  column_number_1: int?  column_number_2: int?",
        "        column_number_3: int?  column_number_4: int?  column_number_5: int?",
    ]


def test_every_problem_at_once(cli: Cli, wrong: str) -> None:
    said = cli("validate", wrong)
    assert (said.code, said.out, said.err) == (2, "", TOLD)


def test_every_problem_as_json(cli: Cli, wrong: str) -> None:
    said = cli("validate", wrong, "--json")
    error = said.json["error"]
    assert (error["type"], error["message"]) == ("ConfigurationError", "2 problems in the pipeline")
    assert error["problems"][0] == {
        "what": "there is no source plugin 'csvv'",
        "fix": "did you mean 'csv'?",
        "key": "source.plugin",
        "file": "wrong.yaml",
        "line": 1,
        "column": 18,
        "excerpt": "source: {plugin: csvv, options: {path: orders.csv}}",
    }
    assert said.err == TOLD


def test_run_refuses_in_the_same_words_and_writes_nothing(cli: Cli, here: Path, wrong: str) -> None:
    said = cli("run", wrong)
    assert (said.code, said.err) == (2, TOLD)
    assert [path.name for path in here.iterdir()] == ["wrong.yaml"]


def test_on_a_terminal_the_place_and_the_fix_stand_out(
    cli: Cli, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_colour", lambda: True)
    lines = cli("validate", wrong).err.splitlines()
    assert lines[0] == "\x1b[1;31m2 problems in the pipeline\x1b[0m"
    assert lines[1] == "\x1b[1mwrong.yaml:1:18: there is no source plugin 'csvv'\x1b[0m"
    assert lines[3] == "    |                  \x1b[1;31m^\x1b[0m"
    assert lines[4] == "  \x1b[32mfix: did you mean 'csv'?\x1b[0m"


def test_a_file_that_is_not_there(cli: Cli) -> None:
    said = cli("validate", "nothing.yaml")
    assert said.code == 2
    assert said.err.startswith("1 problem in the pipeline\nnothing.yaml: there is no such file\n")
