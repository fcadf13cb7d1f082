"""Traces and paths as they are stored, read from the database with few statements by primary key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.payloads.forms import is_purged
from elspeth.core.landscape.payloads.store import inflate
from elspeth.core.landscape.views import OUTCOME

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HASH_BYTES = 32
_MAX_PATHS = 10_000

# Plain text: compiling these from table objects would take longer than running them.
_TRACES = text("SELECT * FROM traces WHERE run_no = :run_no AND row_no = :row_no ORDER BY token_no")
_PATHS = text(
    f"""SELECT p.path_no, p.source_node_id, p.branch_name, p.origin, p.shape, p.ending, p.sink_node_id,
        p.merge, {OUTCOME} AS outcome
        FROM paths p LEFT JOIN edges e ON e.edge_id = p.last_edge_id
        LEFT JOIN nodes n ON n.run_id = e.run_id AND n.node_id = e.from_node_id
        WHERE p.run_no = :run_no AND p.path_no IN :path_nos"""
).bindparams(bindparam("path_nos", expanding=True))
_STEPS = text(
    "SELECT * FROM path_steps WHERE run_no = :run_no AND path_no IN :path_nos ORDER BY path_no, ordinal"
).bindparams(bindparam("path_nos", expanding=True))
_EVENTS = text(
    """SELECT * FROM path_events WHERE run_no = :run_no AND path_no IN :path_nos
        ORDER BY path_no, step_ordinal, ordinal"""
).bindparams(bindparam("path_nos", expanding=True))


@dataclass(frozen=True, slots=True)
class StoredStep:
    """One step of a path.

    ``delta_slot`` is None where the step changed nothing; ``fields`` is None there, and also where
    the delta is the whole row. ``input_slot`` is the delta with the row that the step was given,
    where that is not what the step before left.
    """

    ordinal: int
    step_index: int
    node_id: str
    attempt: int
    status: str
    in_slot: int | None
    out_slot: int | None
    start_slot: int
    end_slot: int | None
    fields: tuple[str, ...] | None
    changed: tuple[str, ...]
    renamed: Mapping[str, str]
    delta_slot: int | None
    input_slot: int | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One routing event of a path, at the step with that ordinal."""

    step_ordinal: int
    ordinal: int
    edge_id: str
    mode: str
    reason_hash: str | None
    reason: Any


@dataclass(frozen=True, slots=True)
class StoredPath:
    """One way through the graph, with the terminal state that it leads to (None: still open).

    ``merge`` is what is on record of how a joined row was made.
    """

    path_no: int
    source_node_id: str | None
    branch_name: str | None
    origin: str | None
    shape: tuple[str, ...] | None
    ending: str | None
    sink_node_id: str | None
    outcome: str | None
    steps: tuple[StoredStep, ...]
    events: tuple[StoredEvent, ...]
    merge: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """One token's own part: times are microseconds since ``t0``, itself microseconds since 1970.

    A trace that was ``purged`` has neither payload nor deltas, but all else.
    """

    row_no: int
    token_no: int
    path_no: int
    parent_no: int | None
    t0: int
    times: tuple[int, ...]
    hashes: bytes
    payload: str | None
    deltas: str | None
    row_alias: str | None
    token_alias: str | None
    purged: bool = False

    def hash_at(self, slot: int) -> bytes:
        """The hash in a slot. Raises LandscapeError if there is none."""
        found = self.hashes[_HASH_BYTES * slot : _HASH_BYTES * (slot + 1)]
        if slot < 0 or len(found) != _HASH_BYTES:
            raise LandscapeError(
                f"row {self.row_no}, token {self.token_no}: its path asks for hash {slot}, "
                f"the trace has {len(self.hashes) // _HASH_BYTES}"
            )
        return found

    def micros_at(self, slot: int) -> int:
        """Microseconds since 1970 in a slot; slot -1 is the start. Raises LandscapeError if there is none."""
        if slot >= len(self.times):
            raise LandscapeError(
                f"row {self.row_no}, token {self.token_no}: its path asks for time {slot}, "
                f"the trace has {len(self.times)}"
            )
        return self.t0 if slot < 0 else self.t0 + self.times[slot]

    @property
    def last_micros(self) -> int:
        """The last time on record, in microseconds since 1970."""
        return self.t0 + (self.times[-1] if self.times else 0)


class PathCache:
    """The paths that were read so far, by run and number. Only those that have ended don't change."""

    def __init__(self) -> None:
        self._paths: dict[tuple[int, int], StoredPath] = {}

    def read(self, connection: Connection, run_no: int, path_nos: Iterable[int]) -> dict[int, StoredPath]:
        """These paths. Raises LandscapeError if one of them is not on record."""
        wanted = set(path_nos)
        found = {number: self._paths[run_no, number] for number in wanted if (run_no, number) in self._paths}
        missing = sorted(wanted - found.keys())
        if missing:
            if len(self._paths) + len(missing) > _MAX_PATHS:
                self._paths.clear()
            for path in _read_paths(connection, run_no, missing):
                found[path.path_no] = path
                if path.ending is not None:
                    self._paths[run_no, path.path_no] = path
        lost = wanted - found.keys()
        if lost:
            raise LandscapeError(f"path {min(lost)} of run number {run_no} is not on record")
        return found


def read_traces(connection: Connection, run_no: int, row_no: int) -> list[StoredTrace]:
    """All tokens of one row, by number."""
    rows = connection.execute(_TRACES, {"run_no": run_no, "row_no": row_no})
    return [stored_trace(connection, row) for row in rows.all()]


def stored_trace(connection: Connection, row: Any) -> StoredTrace:
    """A row of ``traces``, with all its columns, as a value; large contents come from the payload store."""
    purged = is_purged(row.payload)
    return StoredTrace(
        row_no=row.row_no,
        token_no=row.token_no,
        path_no=row.path_no,
        parent_no=row.parent_no,
        t0=row.t0,
        times=tuple(_json(row.times, f"the times of row {row.row_no}, token {row.token_no}")),
        hashes=bytes(row.hashes),
        payload=None if purged else inflate(connection, row.payload),
        deltas=None if purged else inflate(connection, row.deltas),
        row_alias=row.row_alias,
        token_alias=row.token_alias,
        purged=purged,
    )


def instant(micros: int) -> datetime:
    """Microseconds since 1970 as a time in UTC, exactly."""
    return EPOCH + timedelta(microseconds=micros)


def names(shape: str | None) -> tuple[str, ...] | None:
    """The field names of a path's shape; None where each payload has its own."""
    return None if shape is None else tuple(_json(shape, "a path's shape"))


def _read_paths(connection: Connection, run_no: int, path_nos: Sequence[int]) -> list[StoredPath]:
    wanted = {"run_no": run_no, "path_nos": list(path_nos)}
    steps: dict[int, list[StoredStep]] = {}
    for row in connection.execute(_STEPS, wanted):
        steps.setdefault(row.path_no, []).append(_step(row))
    events: dict[int, list[StoredEvent]] = {}
    for row in connection.execute(_EVENTS, wanted):
        reason = None if row.reason is None else _json(row.reason, f"a reason on path {row.path_no}")
        event = StoredEvent(row.step_ordinal, row.ordinal, row.edge_id, row.mode, row.reason_hash, reason)
        events.setdefault(row.path_no, []).append(event)
    return [
        StoredPath(
            path_no=row.path_no,
            source_node_id=row.source_node_id,
            branch_name=row.branch_name,
            origin=row.origin,
            shape=names(row.shape),
            ending=row.ending,
            sink_node_id=row.sink_node_id,
            outcome=row.outcome,
            steps=tuple(steps.get(row.path_no, ())),
            events=tuple(events.get(row.path_no, ())),
            merge=None if row.merge is None else _json(row.merge, f"the merge of path {row.path_no}"),
        )
        for row in connection.execute(_PATHS, wanted)
    ]


def _step(row: Any) -> StoredStep:
    delta = None if row.delta is None else _json(row.delta, f"a delta on path {row.path_no}")
    return StoredStep(
        ordinal=row.ordinal,
        step_index=row.step_index,
        node_id=row.node_id,
        attempt=row.attempt,
        status=row.status,
        in_slot=row.in_slot,
        out_slot=row.out_slot,
        start_slot=row.start_slot,
        end_slot=row.end_slot,
        fields=None if delta is None or delta["fields"] is None else tuple(delta["fields"]),
        changed=() if delta is None or delta["set"] is None else tuple(delta["set"]),
        renamed={} if delta is None else delta.get("from", {}),
        delta_slot=row.delta_slot,
        input_slot=None if delta is None else delta.get("input"),
    )


def _json(stored: str, what: str) -> Any:
    try:
        return orjson.loads(stored)
    except orjson.JSONDecodeError as error:
        raise LandscapeError(f"{what} can't be read: {stored[:60]!r} ({error})") from error
