"""Stopping a run: once cleanly, twice at once."""

import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.cli import progress
from elspeth.cli.stopping import stop_on_signals

SHOW_EVERY_COMMIT = "from elspeth.cli import progress\nprogress._PLAIN_EVERY_S = 0.0"


@pytest.fixture
def big_pipeline(write_pipeline: Callable[..., Path]) -> Path:
    return write_pipeline(*(f"{number},{number % 2000},x" for number in range(400_000)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("big_pipeline")
def test_a_signal_ends_a_run_cleanly(
    here: Path, cli: Callable[..., Any], start_cli: Callable[..., Any], number: signal.Signals
) -> None:
    process: subprocess.Popen[str] = start_cli("run", "pipeline.yaml", before=SHOW_EVERY_COMMIT)
    assert process.stderr is not None
    assert " rows · " in process.stderr.readline()
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    run = cli("runs", "show", "--json").json
    assert run["status"] == "interrupted"
    assert 0 < run["rows"]["read"] < 400_000
    assert run["open"] == 0
    assert "stopping: what was read so far is being committed" in err
    assert f"interrupted: run {run['run_id']} was stopped; what it committed is consistent" in err
    assert err.endswith(f"  go on with: elspeth resume {run['run_id']}\n")
    assert list((here / "out").glob("*.csv")) == []


@pytest.mark.usefixtures("big_pipeline")
def test_an_interrupted_run_as_json(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    first = iter([signal.SIGINT])
    monkeypatch.setattr(
        progress.ProgressLine, "show", lambda *_: [signal.raise_signal(number) for number in first]
    )
    said = cli("run", "pipeline.yaml", "--json")
    assert said.code == 130
    assert said.json["error"]["type"] == "RunInterruptedError"
    assert said.json["error"]["run_id"] == cli("runs", "--json").json["runs"][0]["run_id"]


@pytest.mark.usefixtures("big_pipeline")
def test_a_second_signal_aborts(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(_self: Any, _progress: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(progress.ProgressLine, "show", twice)
    before = signal.getsignal(signal.SIGINT)
    said = cli("run", "pipeline.yaml")
    assert said.code == 130
    assert said.err.endswith("aborted; what was committed before is on record\n")
    assert signal.getsignal(signal.SIGINT) is before
    assert cli("runs", "--json").json["runs"][0]["status"] == "interrupted"


def test_the_former_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signals() as stop:
        assert not stop()
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    seen: list[bool] = []

    def watch() -> None:
        with stop_on_signals() as stop:
            seen.append(stop())

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert seen == [False]
