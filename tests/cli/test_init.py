"""``elspeth init``: what it makes works, as its own hints say."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

Cli = Callable[..., Any]


def test_what_it_makes_runs(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = cli("init", "my demo")
    assert said.code == 0
    assert said.out == (
        "made my demo/pipeline.yaml\nmade my demo/data/peaks.csv\n"
        "made my demo/.gitignore\nmade my demo/pipeline.schema.json\n"
    )
    enter, *commands = [line.strip() for line in said.err.splitlines() if line.startswith("  ")]
    assert shlex.split(enter) == ["cd", "my demo"]
    monkeypatch.chdir(here / "my demo")
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "elspeth"
        assert cli(*arguments).code == 0
    highest = (here / "my demo" / "out" / "highest.csv").read_text(encoding="utf-8").splitlines()
    assert highest[:2] == [
        "name,height_m,countries,first_ascent,height_ft",
        "Everest,8849,Nepal/China,1953-05-29,29032",
    ]
    assert len(highest) == 5


def test_the_schema_for_the_editor_is_the_one_of_this_installation(cli: Cli, here: Path) -> None:
    assert cli("init", ".").code == 0
    first = (here / "pipeline.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./pipeline.schema.json"
    assert orjson.loads((here / "pipeline.schema.json").read_bytes()) == cli("schema").json


def test_nothing_is_overwritten_and_nothing_is_half_done(cli: Cli, here: Path) -> None:
    (here / "pipeline.yaml").write_text("mine", encoding="utf-8")
    said = cli("init", ".")
    assert said.code == 2
    assert said.err == (
        "error: already there: pipeline.yaml\n"
        "  fix: choose another directory: nothing is overwritten, and nothing was written\n"
    )
    assert [path.name for path in here.iterdir()] == ["pipeline.yaml"]


def test_a_directory_that_cannot_be(cli: Cli, here: Path) -> None:
    (here / "file").write_text("", encoding="utf-8")
    assert cli("init", "file").code == 2


def test_json(cli: Cli) -> None:
    made = cli("init", "demo", "--json")
    assert made.err == ""
    assert made.json["directory"] == "demo"
    assert made.json["commands"][0] == "cd demo"
    assert "demo/pipeline.yaml" in made.json["files"]
