"""Taking the contents of rows and calls away. Hashes, times, paths, decisions, errors and ends stay.

What a trace held is replaced by its hash (``forms.purged``), bodies of calls by nothing: their hashes
have columns of their own. So every hash can still be held against a backup, every proof still holds,
and what remains says that something was there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, text, update

from elspeth.contracts.enums import RunStatus
from elspeth.contracts.errors import LandscapeError, UsageError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import give_back, take_lease
from elspeth.core.landscape.ledger.leaves import content_hash
from elspeth.core.landscape.payloads.forms import PURGED, purged
from elspeth.core.landscape.recorder import note_event
from elspeth.core.landscape.records import RunRecord
from elspeth.core.landscape.tables import calls_table, runs_table, traces_table

EVENT = "purged"
"""The kind of the event in a run's history."""

_ROWS = 5_000
_trace, _call = traces_table.c, calls_table.c
_UPDATE = (
    update(traces_table)
    .where(
        _trace.run_no == bindparam("of_run"),
        _trace.row_no == bindparam("of_row"),
        _trace.token_no == bindparam("of_token"),
    )
    .values(payload=bindparam("mark"), deltas=None)
)
_HELD = (
    f"""(payload IS NOT NULL OR deltas IS NOT NULL) AND (payload IS NULL OR payload NOT LIKE '{PURGED}%')"""
)
_BOUNDS = text(
    f"SELECT MIN(row_no) AS first, MAX(row_no) AS last FROM traces WHERE run_no = :run_no AND {_HELD}"
)
_HELD_ROWS = text(
    f"""SELECT row_no, token_no, payload, deltas FROM traces
    WHERE run_no = :run_no AND row_no >= :first AND row_no < :end AND {_HELD}"""
)
_SIZES = text(
    f"""SELECT COUNT(*) AS traces,
    COALESCE(SUM(COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(deltas), 0)), 0) AS bytes
    FROM traces WHERE run_no = :run_no AND {_HELD}"""
)


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge of one run takes away, or would take away.

    ``traces`` and ``calls`` count what loses its contents; ``database_bytes`` are characters in the
    database, ``segment_bytes`` the sizes of ``segments`` files.
    """

    run_id: str
    traces: int
    calls: int
    database_bytes: int
    segments: int
    segment_bytes: int

    @property
    def nothing(self) -> bool:
        """Whether there is nothing left to take away."""
        return not (self.traces or self.calls or self.segments)


def survey(db: LandscapeDB, run: RunRecord) -> Purged:
    """What a purge of this run would take away."""
    with db.reading() as connection:
        traces = connection.execute(_SIZES, {"run_no": run.run_no}).one()
        bodies = func.coalesce(func.length(_call.request), 0) + func.coalesce(func.length(_call.response), 0)
        calls = connection.execute(
            select(func.count(), func.coalesce(func.sum(bodies), 0)).where(*_bodies(run))
        ).one()
        files = [(path, path.stat().st_size) for path in _segments(db, connection, run.run_id)]
    return Purged(
        run.run_id, traces.traces, calls[0], int(traces.bytes) + int(calls[1]), len(files),
        sum(size for _, size in files),
    )  # fmt: skip


def purge_run(db: LandscapeDB, run: RunRecord, now: datetime, *, reason: Mapping[str, Any]) -> Purged:
    """Take a run's contents away, in one transaction; then its segments. ``reason`` goes on record.

    Raises UsageError for a run that is running, RunHeldError if a process is at work on it.
    """
    if run.status == RunStatus.RUNNING:
        raise UsageError(
            f"run {run.run_id} is running: nothing of it can be purged",
            fix="wait until it ends; if its process was killed, go on with it: elspeth resume",
        )
    found = survey(db, run)
    if found.nothing:
        return found
    with db.writing() as connection:
        lease = take_lease(connection, run.run_no, now)
        for marks in _marks(connection, run.run_no):
            connection.execute(_UPDATE, marks)
        connection.execute(update(calls_table).where(*_bodies(run)).values(request=None, response=None))
        detail = {key: value for key, value in asdict(found).items() if key != "run_id"}
        note_event(connection, run.run_no, EVENT, {**detail, **reason}, now)
        give_back(connection, lease, now)
        head = db.proof.close(connection, run.run_id)
        files = list(_segments(db, connection, run.run_id))
    db.proof.publish(head)
    _remove(files)
    return found


def ended_before(db: LandscapeDB, older_than: datetime) -> list[str]:
    """The ids of the runs that ended before, or never did and began before, oldest first."""
    run = runs_table.c
    query = (
        select(run.run_id)
        .where(func.coalesce(run.completed_at, run.started_at) < older_than)
        .order_by(run.started_at, run.run_no)
    )
    with db.reading() as connection:
        return list(connection.execute(query).scalars())


def _marks(connection: Connection, run_no: int) -> Iterator[list[dict[str, Any]]]:
    bounds = connection.execute(_BOUNDS, {"run_no": run_no}).one()
    if bounds.first is None:
        return
    for first in range(bounds.first, bounds.last + 1, _ROWS):
        span = {"run_no": run_no, "first": first, "end": first + _ROWS}
        marks = [
            {
                "of_run": run_no, "of_row": row.row_no, "of_token": row.token_no,
                "mark": purged(content_hash(row.payload, row.deltas)),
            }
            for row in connection.execute(_HELD_ROWS, span).all()
        ]  # fmt: skip
        if marks:
            yield marks


def _bodies(run: RunRecord) -> tuple[Any, ...]:
    return _call.run_id == run.run_id, or_(_call.request.is_not(None), _call.response.is_not(None))


def _segments(db: LandscapeDB, connection: Connection, run_id: str) -> Iterator[Path]:
    """The run's segments, those included that nothing refers to."""
    seen = set()
    for base in db.payloads.bases(connection, run_id):
        for path in sorted((base / run_id).glob("*.seg")):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _remove(files: Sequence[Path]) -> None:
    try:
        for path in files:
            path.unlink(missing_ok=True)
        for directory in {path.parent for path in files}:
            directory.rmdir()
    except OSError as error:
        raise LandscapeError(
            f"the run is purged, but a segment could not be removed: {error}", fix="purge the run again"
        ) from error
