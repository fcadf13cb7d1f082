"""Reading what operations did to one thing: the runs, rows and events in which its name occurs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, or_, select

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.reading.lineage import TokenLineage
from elspeth.core.landscape.records import RunRecord
from elspeth.core.landscape.runs import OPERATION, read_run
from elspeth.core.landscape.tables import run_events_table, runs_table, traces_table

_event, _run, _trace = run_events_table.c, runs_table.c, traces_table.c
_SEPARATOR = "@"  # between a thing's name and the rest of its row's id: `operations.unit_id`


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An entry in a run's history."""

    run_id: str
    subject: str
    kind: str
    detail: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that was done, or begun, to a resource in one operation.

    ``facts`` are None if they were purged; ``outcome`` is ``done``, ``failed`` or ``unfinished`` (the process
    died, or is at it).
    """

    run: RunRecord
    action: str
    facts: Mapping[str, Any] | None
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    token: TokenLineage

    @property
    def subject(self) -> str:
        """What the operation was about: the place and the fleet."""
        return subject_of(self.run.pipeline)


def subject_of(pipeline: str) -> str:
    """The subject of an operation with this name (``fleet apply rg/web`` → ``rg/web``)."""
    return pipeline.rpartition(" ")[2]


def read_deeds(db: LandscapeDB, name: str) -> list[Deed]:
    """All that was ever done to the thing of this name, oldest first; empty for an unknown one."""
    query = (
        select(_run.run_id, _trace.row_no)
        .join(runs_table, _run.run_no == _trace.run_no)
        .where(_run.run_mode == OPERATION, _trace.token_no == 0)
        .where(_trace.row_alias.like(f"{_escaped(name)}{_SEPARATOR}%", escape="\\"))
        .order_by(_run.run_no, _trace.row_no)
    )
    with db.reading() as connection:
        found = connection.execute(query).all()
        runs = {run_id: read_run(connection, run_id) for run_id, _ in found}
    reader = LandscapeReader(db)
    return [_deed(reader, runs[run_id], row_no) for run_id, row_no in found]


def known_names(db: LandscapeDB, limit: int = 500) -> list[str]:
    """Names of things that operations did something to, the last ones first."""
    query = (
        select(_trace.row_alias)
        .join(runs_table, _run.run_no == _trace.run_no)
        .where(_run.run_mode == OPERATION, _trace.row_alias.is_not(None))
        .order_by(_run.run_no.desc(), _trace.row_no)
        .limit(limit)
    )
    with db.reading() as connection:
        found = connection.execute(query).scalars().all()
    return list(dict.fromkeys(str(alias).rpartition(_SEPARATOR)[0] for alias in found))


def read_operation_events(
    db: LandscapeDB, subjects: Sequence[str], digests: Sequence[str]
) -> list[EventRecord]:
    """The history of all operations on these subjects, and what speaks of these digests; oldest first."""
    about = [_run.pipeline.like(f"% {_escaped(subject)}", escape="\\") for subject in subjects]
    about += [_event.detail.like(f"%{digest}%") for digest in digests if digest.isalnum()]
    if not about:
        return []
    with db.reading() as connection:
        return _events(connection, or_(*about))


def _events(connection: Connection, where: Any) -> list[EventRecord]:
    query = (
        select(_run.run_id, _run.pipeline, _event.kind, _event.detail, _event.created_at)
        .join(runs_table, _run.run_no == _event.run_no)
        .where(_run.run_mode == OPERATION, where)
        .order_by(_event.created_at, _event.run_no, _event.ordinal)
    )
    return [
        EventRecord(run_id, subject_of(name), kind, orjson.loads(detail), at)
        for run_id, name, kind, detail, at in connection.execute(query)
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _deed(reader: LandscapeReader, run: RunRecord, row_no: int) -> Deed:
    token = reader.row_lineage(run.run_id, row_no).tokens[0]
    state = token.states[-1] if token.states else None
    outcome = {"COMPLETED": "done", "FAILED": "failed"}.get(token.outcome or "", "unfinished")
    after = state.output_data if state is not None else None
    return Deed(
        run=run,
        action=state.node_id if state is not None else "unfinished",
        facts=after if after is not None else token.start_data,
        started_at=state.started_at if state is not None else token.created_at,
        ended_at=state.completed_at if state is not None else None,
        outcome=outcome,
        token=token,
    )
