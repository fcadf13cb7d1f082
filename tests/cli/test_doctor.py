"""``elspeth doctor``."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def verdicts(cli: Cli, *arguments: str) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in cli("doctor", "--json", *arguments).json["checks"]}


def test_a_fresh_directory_is_fine_and_stays_empty(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSPETH_FINGERPRINT_KEY", "long and random")
    said = cli("doctor")
    assert (said.code, said.err) == (0, "")
    lines = [line.split(maxsplit=2) for line in said.out.splitlines() if not line.startswith(" ")]
    assert [line[1] for line in lines] == [
        "python", "sqlite", "postgres", "parquet", "landscape", "disk", "fingerprints", "output",
    ]  # fmt: skip
    assert {line[0] for line in lines} == {"ok"}
    assert lines[4][2] == "sqlite:///.elspeth/landscape.db is not there yet; the first"
    assert list(here.iterdir()) == []


def test_the_landscape_that_is_there(cli: Cli, recorded: str) -> None:
    assert recorded in verdicts(cli)["landscape"]["what"]


def test_a_missing_key_is_a_warning_with_a_remedy(cli: Cli) -> None:
    said = cli("doctor")
    assert said.code == 0
    assert "warn  fingerprints  ELSPETH_FINGERPRINT_KEY is not set" in said.out
    assert "fix: set ELSPETH_FINGERPRINT_KEY to a long random text" in said.out


def test_a_database_of_another_program_fails(cli: Cli, here: Path) -> None:
    with sqlite3.connect(here / "other.db") as connection:
        connection.execute("CREATE TABLE things (x)")
    connection.close()
    said = cli("doctor", "--database", "sqlite:///other.db")
    assert said.code == 2
    assert "fail  landscape" in said.out


def test_passwords_do_not_show(cli: Cli) -> None:
    said = cli("doctor", "--database", "postgresql://me:hush@127.0.0.1:1/audit")
    assert said.code == 2
    assert "hush" not in said.out + said.err


def test_upgrade(cli: Cli, recorded: str) -> None:
    upgraded = cli("doctor", "--upgrade", "--json")
    assert upgraded.code == 0
    assert upgraded.json["upgraded_to"] in verdicts(cli)["landscape"]["what"]
    assert cli("doctor", "--upgrade").out.startswith("the landscape has version ")


def test_upgrading_what_is_not_there(cli: Cli, here: Path) -> None:
    said = cli("doctor", "--upgrade")
    assert said.code == 2
    assert said.err.startswith("error: there is no landscape at .elspeth/landscape.db\n")
    assert list(here.iterdir()) == []
