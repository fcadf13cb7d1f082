"""What a resume needs of a run's record: its checkpoint, how its tokens ended, and those that wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from elspeth.contracts.errors import LandscapeError
from elspeth.contracts.plugins import Row
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import Delta, Event, Origin, Path, Step
from elspeth.core.landscape.payloads.store import inflate
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.stepwise.tokens import FIRST_OWN_PATH
from elspeth.core.landscape.tables import (
    checkpoints_table,
    path_events_table,
    path_steps_table,
    paths_table,
    traces_table,
    waiting_tokens_table,
)
from elspeth.core.landscape.writer import Checkpoint


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a run had come. ``ended`` maps path numbers to the tokens that ended there."""

    checkpoint: Checkpoint | None
    ended: Mapping[int, int]
    next_path: int


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A waiting token with its open trace. ``times`` are microseconds since ``t0``."""

    row_no: int
    token_no: int
    parent_no: int | None
    ordinal: int
    node_id: str
    branch: str | None
    joins: str
    path: Path
    t0: int
    times: list[int]
    hashes: bytes
    payload: str | None
    deltas: str | None
    assigned: str | None
    row: Row
    last_child: int


def read_progress(db: LandscapeDB, run_no: int) -> Progressed:
    """Where the last commit of a run left it."""
    with db.engine.connect() as connection:
        found = connection.execute(
            select(checkpoints_table).where(checkpoints_table.c.run_no == run_no)
        ).one_or_none()
        checkpoint = None
        if found is not None:
            checkpoint = Checkpoint(
                found.commit_no,
                found.rows_read,
                orjson.loads(found.source_positions),
                orjson.loads(found.sink_positions),
                orjson.loads(found.node_states),
                found.phase,
                found.committed_at,
            )
        ended = (
            select(traces_table.c.path_no, func.count())
            .join(
                paths_table,
                (paths_table.c.run_no == traces_table.c.run_no)
                & (paths_table.c.path_no == traces_table.c.path_no),
            )
            .where(traces_table.c.run_no == run_no, paths_table.c.ending.is_not(None))
            .group_by(traces_table.c.path_no)
        )
        last = select(func.max(paths_table.c.path_no)).where(
            paths_table.c.run_no == run_no, paths_table.c.path_no < FIRST_OWN_PATH
        )
        highest = connection.execute(last).scalar()
        counts = {int(path_no): int(count) for path_no, count in connection.execute(ended)}
        return Progressed(checkpoint, counts, 0 if highest is None else highest + 1)


def read_waiting(db: LandscapeDB, run_id: str, run_no: int) -> list[StoredToken]:
    """The tokens that waited at the last commit, in the order in which they came."""
    waiting, traces = waiting_tokens_table, traces_table
    query = (
        select(waiting, traces)
        .join(
            traces,
            (traces.c.run_no == waiting.c.run_no)
            & (traces.c.row_no == waiting.c.row_no)
            & (traces.c.token_no == waiting.c.token_no),
        )
        .where(waiting.c.run_no == run_no)
        .order_by(waiting.c.ordinal)
    )
    reader = LandscapeReader(db)
    paths: dict[int, Path] = {}
    found = []
    with db.engine.connect() as connection:
        for row in connection.execute(query).mappings().all():
            path_no = row[traces.c.path_no]
            step_index = row[waiting.c.step_index]
            path = paths.get(path_no)
            if path is None:
                path = paths[path_no] = _open_path(connection, run_no, path_no, step_index)
            row_no, token_no = row[traces.c.row_no], row[traces.c.token_no]
            found.append(
                StoredToken(
                    row_no=row_no,
                    token_no=token_no,
                    parent_no=row[traces.c.parent_no],
                    ordinal=row[waiting.c.ordinal],
                    node_id=row[waiting.c.node_id],
                    branch=row[waiting.c.branch],
                    joins=row[waiting.c.joins],
                    path=path,
                    t0=row[traces.c.t0],
                    times=orjson.loads(row[traces.c.times]),
                    hashes=bytes(row[traces.c.hashes]),
                    payload=inflate(connection, row[traces.c.payload]),
                    deltas=inflate(connection, row[traces.c.deltas]),
                    assigned=row[traces.c.assigned],
                    row=_current_row(reader, run_id, row_no, token_no),
                    last_child=_last_child(connection, run_no, row_no),
                )
            )
    return found


def _current_row(reader: LandscapeReader, run_id: str, row_no: int, token_no: int) -> Row:
    lineage = reader.row_lineage(run_id, row_no)
    token = next(token for token in lineage.tokens if token.token_no == token_no)
    data = token.start_data
    for state in token.states:  # an attempt that failed has no output, and changed nothing
        data = state.output_data if state.output_data is not None else state.input_data
    if data is None:
        raise LandscapeError(
            f"the data of token {token.token_id} was purged, and the run can't go on without it",
            fix="start a new run",
        )
    return dict(data)


def _last_child(connection: Connection, run_no: int, row_no: int) -> int:
    table = traces_table
    query = select(func.max(table.c.token_no)).where(table.c.run_no == run_no, table.c.row_no == row_no)
    return int(connection.execute(query).scalar() or 0)


def _open_path(connection: Connection, run_no: int, path_no: int, step_index: int) -> Path:
    """A stored path as one that can grow on. It shares nothing with others: few tokens wait."""
    where = (paths_table.c.run_no == run_no) & (paths_table.c.path_no == path_no)
    stored = connection.execute(select(paths_table).where(where)).one()
    steps = connection.execute(_of_path(path_steps_table, run_no, path_no, "ordinal")).all()
    events = connection.execute(_of_path(path_events_table, run_no, path_no, "step_ordinal", "ordinal")).all()
    shape = None if stored.shape is None else tuple(orjson.loads(stored.shape))
    first = steps[0].step_index if steps else step_index + 1
    origin = Origin(
        stored.source_node_id,
        stored.origin,
        stored.branch_name,
        shape,
        first,
        stored.last_edge_id,
        stored.merge,
    )
    path = Path(origin, None, None)
    for step in steps:
        own = tuple(
            Event(event.edge_id, event.mode, event.reason, event.reason_hash)
            for event in events
            if event.step_ordinal == step.ordinal
        )
        grown = Step(
            step.node_id,
            status=step.status,
            attempt=step.attempt,
            delta=_delta(step.delta),
            events=own,
            gap=step.start_slot == path.times,
            step_index=step.step_index,
        )
        path = path.grow(grown, grown)
    return path


def _of_path(table: Any, run_no: int, path_no: int, *order: str) -> Any:
    where = (table.c.run_no == run_no) & (table.c.path_no == path_no)
    return select(table).where(where).order_by(*(table.c[name] for name in order))


def _delta(text: str | None) -> Delta | None:
    if text is None:
        return None
    stored = orjson.loads(text)
    if stored["fields"] is None:
        return Delta(None, None)
    return Delta(tuple(stored["fields"]), tuple(stored["set"]), tuple(stored.get("from", {}).items()))
