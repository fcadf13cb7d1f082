"""The entry: help, version, exit codes, errors for people and for programs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth import __version__
from elspeth.api import runs


def test_help_lists_every_command_with_a_place_to_start(cli: Callable[..., Any]) -> None:
    said = cli("--help")
    assert said.code == 0
    assert said.err == ""
    lines = [line.split(None, 1) for line in said.out.splitlines() if line.strip()]
    assert ["explain", "Tell the story of a row or a machine: what was done, and why."] in lines
    assert "elspeth init demo && cd demo" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_no_command_at_all_shows_the_help_but_is_a_mistake(cli: Callable[..., Any]) -> None:
    said = cli()
    assert said.code == 2
    assert said.out == cli("--help").out


def test_version(cli: Callable[..., Any]) -> None:
    assert cli("--version").out == f"elspeth {__version__}\n"
    assert cli("--version", "--json").json == {"version": __version__}


def test_a_mistyped_command(cli: Callable[..., Any]) -> None:
    said = cli("rnu", "pipeline.yaml")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: No such command 'rnu'. Did you mean 'run'?\n  fix: see `elspeth --help`\n"


def test_a_mistyped_option_as_json(cli: Callable[..., Any]) -> None:
    said = cli("runs", "show", "--json", "--databse", "x")
    assert said.code == 2
    assert said.json["error"] == {
        "type": "UsageError",
        "message": "No such option: --databse (Possible options: --database)",
        "fix": "see `elspeth runs show --help`",
        "exit_code": 2,
    }


def test_an_error_says_what_and_how_to_go_on(cli: Callable[..., Any]) -> None:
    said = cli("explain", "--row", "0")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error: there is no landscape at .elspeth/landscape.db\n"
        "  fix: run a pipeline first, or name the database: --database URL\n"
    )


def test_an_error_as_json_is_on_stdout_and_for_people_on_stderr(cli: Callable[..., Any]) -> None:
    said = cli("explain", "--row", "0", "--json")
    assert said.json == {
        "error": {
            "type": "NotFoundError",
            "message": "there is no landscape at .elspeth/landscape.db",
            "fix": "run a pipeline first, or name the database: --database URL",
            "exit_code": 2,
        }
    }
    assert said.err.startswith("error: there is no landscape")


class TestBugs:
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def list_runs(*_args: Any, **_more: Any) -> None:
            raise ZeroDivisionError("division by\x1b[31m zero")

        monkeypatch.setattr(runs, "list_runs", list_runs)

    def test_are_told_in_short_and_exit_with_3(self, cli: Callable[..., Any]) -> None:
        said = cli("runs")
        assert (said.code, said.out) == (3, "")
        assert said.err == (
            "error: ZeroDivisionError: division by\\x1b[31m zero\n"
            "  this is a bug in ELSPETH: please report it, with the traceback (ELSPETH_DEBUG=1 shows it)\n"
        )

    def test_are_told_as_json(self, cli: Callable[..., Any]) -> None:
        error = cli("runs", "--json").json["error"]
        assert (error["type"], error["exit_code"]) == ("InternalError", 3)

    def test_have_a_traceback_for_those_who_ask(
        self, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ELSPETH_DEBUG", "1")
        assert "Traceback (most recent call last)" in cli("runs").err


def test_ctrl_c_outside_a_run(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def list_runs(*_args: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "list_runs", list_runs)
    said = cli("runs")
    assert (said.code, said.err) == (130, "aborted; what was committed before is on record\n")


def test_a_reader_that_goes_away_is_no_error(start_cli: Callable[..., Any]) -> None:
    process: subprocess.Popen[str] = start_cli("plugins", "inspect", "source", "csv")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_a_reader_of_errors_that_goes_away_changes_nothing(start_cli: Callable[..., Any]) -> None:
    process: subprocess.Popen[str] = start_cli("runs", "show", "nothing")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait() == 2


@pytest.mark.parametrize("extra", [{"NO_COLOR": "1"}, {}], ids=["NO_COLOR", "no terminal"])
def test_no_escape_codes(start_cli: Callable[..., Any], recorded: str, extra: dict[str, str]) -> None:
    out, err = start_cli("explain", recorded, "--row", "1", env=extra).communicate()
    assert "\x1b" not in out + err
    assert "large" in out


def test_colour_where_it_is_asked_for(start_cli: Callable[..., Any], recorded: str) -> None:
    out, _ = start_cli("runs", env={"FORCE_COLOR": "1", "TERM": "xterm-256color"}).communicate()
    assert "\x1b[" in out


def test_an_output_without_unicode_gets_escapes_and_not_a_crash(
    start_cli: Callable[..., Any], recorded: str
) -> None:
    process = start_cli("explain", recorded, "--row", "0", env={"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.isascii()


def test_completion_offers_commands_and_run_ids(start_cli: Callable[..., Any], recorded: str) -> None:
    def offered(*words: str) -> str:
        env = {"_ELSPETH_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
        out: str = start_cli(env={**env, "COMP_CWORD": str(len(words) - 1)}).communicate()[0]
        return out

    assert offered("elspeth", "expl").split() == ["explain"]
    assert offered("elspeth", "explain", "2026").split() == [recorded]
    assert offered("elspeth", "plugins", "inspect", "transform", "field").split() == ["field_mapper"]


def test_the_module_is_the_command(here: os.PathLike[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "elspeth", "--version"], capture_output=True, text=True)
    assert done.stdout == f"elspeth {__version__}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["--version"], ["plugins", "list"], ["plugins", "list", "--json"]])
def test_a_full_disk_under_stdout_is_no_bug_of_ours(arguments: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "elspeth", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == (
        "error: what was found can't be shown: No space left on device; what was done is on record\n"
    )
