"""One owner at a time: who has lost a run writes nothing more to it, whatever it still holds."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from elspeth.contracts.enums import RunStatus
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import FencedError, Lease
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.writer import Checkpoint, Group, GroupWriter

RUN = "20261121T021530Z-abcdef"
NOW = datetime(2026, 11, 21, 2, 15, 30, tzinfo=UTC)


def everything(db: LandscapeDB) -> list[Any]:
    with db.engine.connect() as connection:
        return [
            connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).fetchall()
            for table in ("runs", "traces", "trace_errors", "checkpoints", "tree_heads", "run_leases")
        ]


@pytest.fixture
def lost(landscape: LandscapeDB, recording: Any) -> tuple[Any, Lease, Lease]:
    """A run, the lease of who began it, and that of who took it over."""
    run = recording(landscape, RUN)
    recorder = LandscapeRecorder(landscape)
    old, new = recorder.hold_run(run.run_no), recorder.hold_run(run.run_no)
    return run, old, new


def test_a_commit_of_who_lost_the_run_changes_nothing(
    landscape: LandscapeDB, lost: tuple[Any, Lease, Lease]
) -> None:
    run, old, new = lost
    error = (run.run_no, 0, 0, 0, 1, "a", "transform", "{}", "b", 0)
    group = Group((), others={"trace_errors": [error]})
    checkpoint = Checkpoint(1, 1, {}, {}, {}, "reading", NOW)
    before = everything(landscape)
    with pytest.raises(FencedError, match="another process has taken over this run"):
        GroupWriter(landscape, run.book, old).commit(group, checkpoint)
    assert everything(landscape) == before
    GroupWriter(landscape, run.book, new).commit(group, checkpoint)
    assert everything(landscape) != before


def test_nor_does_it_publish_or_end_the_run(landscape: LandscapeDB, lost: tuple[Any, Lease, Lease]) -> None:
    _, old, _ = lost
    recorder = LandscapeRecorder(landscape)
    before = everything(landscape)
    with pytest.raises(FencedError):
        recorder.keep_run(old)
    with pytest.raises(FencedError):
        recorder.finish_run(RUN, RunStatus.COMPLETED, [], lease=old)
    assert everything(landscape) == before
