"""elspeth purge: what it says it does, and that it does no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_a_purge_says_what_went_and_what_to_do_about_the_space(cli: Cli, recorded: str) -> None:
    said = cli("purge", "--older-than", "0h")
    assert said.code == 0
    assert said.out.startswith(f"run {recorded}: purged: contents of 10 tokens and 0 calls, ")
    assert "elspeth purge --vacuum" in said.err
    assert "purged on 20" in cli("explain", "--row", "0").out
    assert "attributable only" in cli("runs", "show").out
    assert cli("purge", "--older-than", "0h").out == "nothing to purge\n"


def test_a_dry_run_only_says_so(cli: Cli, recorded: str) -> None:
    said = cli("purge", "--run", "latest", "--dry-run", "--json").json
    assert said["dry_run"]
    assert said["runs"][0]["traces"] == 10
    assert "purged on" not in cli("explain", "--row", "0").out


def test_a_vacuum_says_what_it_gave_back(cli: Cli, recorded: str) -> None:
    said = cli("purge", "--run", recorded, "--vacuum")
    assert "the database file is" in said.out
    assert "than before" in said.out
    assert said.err == ""


def test_without_an_age_the_runs_own_settings_count(cli: Cli, recorded: str) -> None:
    assert cli("purge").out == "nothing to purge\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--older-than", "soon"], "'soon' is not an age"),
        (["--run", "nosuch"], "there is no run 'nosuch'"),
        (["--database", "sqlite:///nowhere.db"], "there is no landscape"),
    ],
)
def test_what_can_t_be_done_is_told(
    cli: Cli, recorded: str, arguments: list[str], what: str, here: Path
) -> None:
    said = cli("purge", *arguments)
    assert said.code == 2
    assert what in said.err
