"""Full disks, databases that say no, processes that sleep and wake: a run goes on, or says why not."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from elspeth.api.verify import verify
from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import RunHeldError
from elspeth.core.landscape.tables import leases_table, run_events_table
from elspeth.engine import processor

STOPPED = 1000
LANDSCAPE_SPOILS = 330_000


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process commit as often as those of the victims."""
    monkeypatch.setattr(processor, "GROUP_TOKENS", 100)
    monkeypatch.setattr(processor, "LOOK_NS", 0)


def as_undisturbed(scene: Any, undisturbed: Any) -> None:
    """Output and trail are those of a quiet run, and the trail can be proved."""
    assert scene.outcome() == undisturbed
    assert verify(database=scene.url).ok


def test_a_full_disk_stops_a_run_that_goes_on_when_there_is_space(
    files: Any, undisturbed: dict[str, Any]
) -> None:
    code, _ = files.victim(largest=LANDSCAPE_SPOILS)
    assert code == 1, files.said()
    assert "the landscape can't be written" in files.said()
    assert "elspeth resume" in files.said()
    assert files.files() == {}
    files.resume()
    as_undisturbed(files, undisturbed["files"])


def test_a_landscape_that_is_locked_for_a_while_is_waited_for(
    files: Any, undisturbed: dict[str, Any]
) -> None:
    locks: list[sqlite3.Connection] = []

    def lock(_progress: Any) -> None:
        if not locks:
            other = sqlite3.connect(".elspeth/landscape.db", check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            locks.append(other)
            threading.Timer(0.3, other.rollback).start()

    files.run(watch=lock)
    locks[0].close()
    assert files.outcome() == undisturbed["files"]


def test_a_landscape_that_stays_locked_stops_a_run_that_can_go_on(
    files: Any, undisturbed: dict[str, Any]
) -> None:
    code, process = files.victim(point="commit.begin", count=3, how="SIGSTOP", patience_ms=20)
    assert code == STOPPED
    other = sqlite3.connect(".elspeth/landscape.db")
    other.execute("BEGIN IMMEDIATE")
    code, _ = files.nursery.ask(wake=process)
    other.close()
    assert code == 1
    assert "the landscape can't be written: database is locked" in files.said()
    files.resume()
    as_undisturbed(files, undisturbed["files"])


def test_a_landscape_that_may_only_be_read_is_said_to_be_so(files: Any, undisturbed: dict[str, Any]) -> None:
    files.kill("commit.end", 3)
    for path in Path(".elspeth").glob("landscape.db*"):
        path.chmod(0o444)
    code, _ = files.victim(resume=True, powerless=True)
    assert code == 1
    assert "readonly database" in files.said()
    for path in Path(".elspeth").glob("landscape.db*"):
        path.chmod(0o644)
    files.resume()
    as_undisturbed(files, undisturbed["files"])


def test_two_processes_never_work_on_one_run(files: Any, undisturbed: dict[str, Any]) -> None:
    _, process = files.victim(point="commit.begin", count=4, how="SIGSTOP")
    with pytest.raises(RunHeldError, match=f"process {process} on"):
        files.resume()
    code, _ = files.nursery.ask(wake=process)
    assert code == 0
    as_undisturbed(files, undisturbed["files"])


@pytest.mark.parametrize(
    ("kind", "point", "count"),
    [
        pytest.param("files", "transform", 250, marks=pytest.mark.soak),
        pytest.param("files", "sinks.written", 4, marks=pytest.mark.soak),
        ("files", "commit.begin", 5),
        ("files", "publish.begin", 1),
        pytest.param("files", "publish.end", 1, marks=pytest.mark.soak),
        ("table", "commit.begin", 4),
        ("table", "publish.begin", 1),
    ],
)
def test_a_process_that_was_given_up_and_wakes_spoils_nothing(
    request: pytest.FixtureRequest, undisturbed: dict[str, Any], kind: str, point: str, count: int
) -> None:
    scene = request.getfixturevalue(kind)
    code, zombie = scene.victim(point=point, count=count, how="SIGSTOP")
    assert code == STOPPED
    given_up(scene.url)
    # It wakes when the other is in the middle, and again nothing is lost when the other is killed too.
    scene.kill_resume("sinks.flushed", 2)
    given_up(scene.url)
    code, other = scene.victim(point="commit.begin", count=2, how="SIGSTOP", resume=True)
    if code == STOPPED:
        assert scene.nursery.ask(wake=zombie)[0] == 1
        assert "taken over" in scene.said() or "another process" in scene.said()
        assert scene.nursery.ask(wake=other)[0] == 0, scene.said()
    else:
        assert scene.nursery.ask(wake=zombie)[0] == 1
    as_undisturbed(scene, undisturbed[kind])


def given_up(url: str) -> None:
    """As if the owner were on another machine and had been silent for long."""
    db = LandscapeDB.from_url(url)
    with db.engine.begin() as connection:
        connection.execute(
            update(leases_table).values(
                owner="elsewhere:1:1", heartbeat_at=datetime.now(UTC) - timedelta(hours=1)
            )
        )
    db.close()


def test_a_clock_that_jumps_back_harms_nothing(files: Any, undisturbed: dict[str, Any]) -> None:
    code, _ = files.victim(point="commit.begin", count=3, hours_back=5)
    assert code == 0, files.said()
    as_undisturbed(files, undisturbed["files"])


def test_a_run_resumed_before_it_began_harms_nothing(files: Any, undisturbed: dict[str, Any]) -> None:
    files.kill("sinks.flushed", 4)
    code, _ = files.victim(point="run.begun", hours_back=5, resume=True)
    assert code == 0, files.said()
    as_undisturbed(files, undisturbed["files"])


def test_an_unknown_run_and_a_complete_one_are_refused(table: Any) -> None:
    table.run()
    before = table.outcome()
    with pytest.raises(UsageError, match="is complete"):
        table.resume()
    with pytest.raises(NotFoundError, match="no-such-run"):
        table.resume(run="no-such-run")
    assert table.outcome() == before


def test_a_run_that_asked_for_no_checkpoints_is_not_resumed(make_scene: Callable[..., Any]) -> None:
    scene = make_scene(
        "source: {plugin: csv, options: {path: in.csv}}\ncheckpoint: {enabled: false}\n"
        "transforms:\n  - {name: look, plugin: passthrough}\n"
        "sinks: {output: {plugin: csv, options: {path: out/o.csv}}}\n"
    )
    scene.kill("commit.end", 2)
    with pytest.raises(UsageError, match="enabled: false"):
        scene.resume()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda text: text.replace("text: 12", "text: 11"),
            r"transforms\[1\]\.options\.fields\.text was 12, and is 11",
        ),
        (None, "the input of source 'source' has another size"),
    ],
)
def test_what_has_changed_is_refused_and_may_be_accepted(
    files: Any, change: Callable[[str], str] | None, why: str
) -> None:
    files.kill("commit.end", 3)
    changed = Path("in.csv" if change is None else "p.yaml")
    text = changed.read_text()
    changed.write_text(text + "1000,one more\n" if change is None else change(text))
    with pytest.raises(UsageError, match=why):
        files.resume()
    files.resume(accept_changes=True)
    db = LandscapeDB.from_url(files.url)
    with db.engine.connect() as connection:
        details = connection.execute(
            select(run_events_table.c.detail).where(run_events_table.c.kind == "resumed")
        ).scalars()
        accepted = [orjson.loads(detail)["accepted_changes"] for detail in details]
    db.close()
    assert len(accepted) == 1
    assert accepted[0]
    assert verify(database=files.url).ok


def test_another_version_of_a_plugin_is_refused(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from elspeth.plugins.transforms.truncate import Truncate  # noqa: PLC0415

    files.kill("commit.end", 3)
    monkeypatch.setattr(Truncate, "plugin_version", "9.9.9")
    with pytest.raises(UsageError, match=r"plugin 'truncate' of 'cut' was version .*, and is 9\.9\.9"):
        files.resume()


@pytest.mark.parametrize(
    ("checkpoint", "commits"),
    [
        ("{frequency: every_row}", 1001),
        ("{checkpoint_interval: 250}", 5),
        ("{frequency: aggregation_only}", 4),
    ],
)
def test_checkpoints_come_as_often_as_asked(
    make_scene: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, checkpoint: str, commits: int
) -> None:
    monkeypatch.setattr(processor, "GROUP_TOKENS", 100_000)
    monkeypatch.setattr(processor, "GROUP_NS", 10**15)
    scene = make_scene(
        f"source: {{plugin: csv, options: {{path: in.csv}}}}\ncheckpoint: {checkpoint}\n"
        "aggregations:\n  - {name: sums, plugin: batch_stats, trigger: {count: 300},"
        " options: {value_field: id}}\n"
        "sinks: {output: {plugin: 'null'}}\n"
    )
    seen: list[int] = []
    scene.run(watch=lambda progress: seen.append(progress.rows_read))
    assert len(seen) in (commits, commits + 1)


def test_the_command_line_says_by_its_exit_code_how_a_resume_went(files: Any) -> None:
    def elspeth_resume(*words: str) -> int:
        command = [sys.executable, "-m", "elspeth", "resume", *words]
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode

    assert elspeth_resume() == 2  # no landscape
    _, process = files.victim(point="commit.end", count=3, how="SIGSTOP")
    assert elspeth_resume() == 2  # somebody is at work
    os.kill(process, signal.SIGKILL)
    files.nursery.ask(wake=process)
    assert elspeth_resume("nobody") == 2
    assert elspeth_resume() == 0
    assert elspeth_resume() == 2  # complete
