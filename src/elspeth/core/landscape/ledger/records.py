"""Which records of the audit trail are leaves, and their values as they are hashed.

Values are those that the database keeps, not what some layer makes of them: on SQLite a time that
is not written exactly as ELSPETH writes it is another value.

Open traces, ``checkpoints`` and ``waiting_tokens`` are state, not record: they change and go as a run goes
on, and are leaves by their hashes (see `state`). ``run_leases`` only says who is at work,
``experiment_stats`` is computed from records: these two are no leaves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any, cast

from sqlalchemy import Connection, Float, LargeBinary, Numeric, Table

from elspeth.core.landscape import tables
from elspeth.core.landscape.payloads.forms import body_reference
from elspeth.core.landscape.types import UtcDateTime

Record = tuple[tuple[Any, ...], list[Any]]
"""A record's key, and its values."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"
_CHUNK = 5000
_ASKED = 500


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record. ``keys`` are its columns within a run.

    ``restated``: the record may change (a run ends, a resumed run publishes anew); every version is
    a leaf, and its values are kept with the tree, so that none is ever lost.
    """

    name: str
    table: Table
    keys: tuple[str, ...]
    restated: bool = False

    @property
    def run_column(self) -> str:
        return "run_no" if "run_no" in self.table.columns else "run_id"


RUN = Kind("run", tables.runs_table, ("run_no",), restated=True)
NODE = Kind("node", tables.nodes_table, ("node_id",), restated=True)
EDGE = Kind("edge", tables.edges_table, ("edge_id",))
PATH = Kind("path", tables.paths_table, ("path_no",))
ERROR = Kind("error", tables.errors_table, ("row_no", "token_no", "step_index", "attempt"))
JOIN = Kind("join", tables.joins_table, ("row_no", "token_no", "ordinal"))
BATCH = Kind("batch", tables.batches_table, ("batch_no",))
BATCH_TOKEN = Kind("batch_token", tables.batch_tokens_table, ("batch_no", "role", "ordinal"))
CALL = Kind("call", tables.calls_table, ("call_id",))
VARIANT = Kind("variant", tables.experiment_variants_table, ("variant_no",))
ASSIGNMENT = Kind("assignment", tables.assignments_table, ("assignment_id",))
READING = Kind("reading", tables.experiment_readings_table, ("experiment_id", "reading", "commit_no"))
TOTALS = Kind("totals", tables.experiment_totals_table, ("experiment_id", "commit_no"))
EVENT = Kind("event", tables.run_events_table, ("ordinal",))
ARTIFACT = Kind("artifact", tables.artifacts_table, ("artifact_id",), restated=True)
TRACE = Kind("trace", tables.traces_table, ("row_no", "token_no"))

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        RUN, NODE, EDGE, PATH, ERROR, JOIN, BATCH, BATCH_TOKEN, CALL, VARIANT, ASSIGNMENT, READING, TOTALS,
        EVENT, ARTIFACT, TRACE,
    )
}  # fmt: skip
BY_TABLE: Mapping[str, Kind] = {kind.table.name: kind for kind in KINDS.values()}

OUTSIDE = (EDGE, CALL, ASSIGNMENT, EVENT)
"""Records that are written in transactions of their own, between the commits of a run."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """A run by both of its keys."""

    run_no: int
    run_id: str


def find_run(connection: Connection, column: str, value: int | str) -> RunKey | None:
    """The run with this ``run_no`` or ``run_id``."""
    sql = placed(connection, f"SELECT run_no, run_id FROM runs WHERE {column} = ?")
    row = connection.exec_driver_sql(sql, (value,)).one_or_none()
    return None if row is None else RunKey(row[0], row[1])


def placed(connection: Connection, sql: str) -> str:
    """A statement with the driver's own place-holders for ``?``."""
    return sql if connection.dialect.name == "sqlite" else sql.replace("?", "%s")


def values_of(kind: Kind, row: Sequence[Any]) -> list[Any]:
    """The values of a row with all of the table's columns, as they are hashed."""
    values = list(row)
    for place, convert in _conversions(kind.table):
        if values[place] is not None:
            values[place] = convert(values[place])
    if kind is CALL:
        # Bodies by their hashes, which a purge leaves: see `purges`.
        for body, hashed in _bodies():
            values[body] = _body_hash(values[body], values[hashed])
    return values


def key_of(kind: Kind, values: Sequence[Any]) -> tuple[Any, ...]:
    """The key of a record with these values."""
    return tuple(values[place] for place in _key_places(kind))


def is_exact(kind: Kind) -> bool:
    """Whether a record reads from the database as it was written: no numbers that it may convert."""
    return not any(isinstance(column.type, Float | Numeric) for column in kind.table.columns)


def read(connection: Connection, kind: Kind, run: RunKey) -> Iterator[Record]:
    """All records of a kind that a run has, in the order of their keys. Not for paths."""
    order = ", ".join(kind.keys)
    sql = f"SELECT {_names(kind)} FROM {kind.table.name} WHERE {kind.run_column} = ? ORDER BY {order}"
    for row in stream(connection, sql, (getattr(run, kind.run_column),)):
        values = values_of(kind, row)
        yield key_of(kind, values), values


def read_some(connection: Connection, kind: Kind, run: RunKey, keys: Iterable[Any]) -> Iterator[Record]:
    """The records with these keys, as far as they are there, in any order."""
    if len(kind.keys) == 1:
        yield from _read_by_key(connection, kind, run, [key[0] for key in keys])
        return
    where = " AND ".join(f"{name} = ?" for name in (kind.run_column, *kind.keys))
    sql = placed(connection, f"SELECT {_names(kind)} FROM {kind.table.name} WHERE {where}")
    own = getattr(run, kind.run_column)
    find = _finder(connection, sql)
    for key in keys:
        row = find((own, *key))
        if row is not None:
            yield tuple(key), values_of(kind, row)


def _finder(connection: Connection, sql: str) -> Callable[[tuple[Any, ...]], Sequence[Any] | None]:
    """Finds single rows; with SQLite by way of the driver, whose part in it is a tenth of the time."""
    raw = connection.connection.driver_connection
    if connection.dialect.name == "sqlite" and raw is not None:
        return lambda parameters: cast("Sequence[Any] | None", raw.execute(sql, parameters).fetchone())
    return lambda parameters: connection.exec_driver_sql(sql, parameters).one_or_none()


def _read_by_key(connection: Connection, kind: Kind, run: RunKey, keys: list[Any]) -> Iterator[Record]:
    """Many at a time: a statement for each would take longer than all the rest of a commit."""
    own = getattr(run, kind.run_column)
    (name,) = kind.keys
    # SQLite would else go through all of the run's records each time; the plus keeps it from that index.
    unique = [column.name for column in kind.table.primary_key] == [name]
    apart = "+" if unique and connection.dialect.name == "sqlite" else ""
    head = f"SELECT {_names(kind)} FROM {kind.table.name} WHERE {apart}{kind.run_column} = ? AND {name} IN"
    for first in range(0, len(keys), _ASKED):
        some = keys[first : first + _ASKED]
        for row in stream(connection, f"{head} ({', '.join('?' * len(some))})", (own, *some)):
            values = values_of(kind, row)
            yield key_of(kind, values), values


def read_keys(connection: Connection, kind: Kind, run: RunKey) -> list[tuple[Any, ...]]:
    """The keys of a run's records of a kind, in order."""
    order = ", ".join(kind.keys)
    sql = f"SELECT {order} FROM {kind.table.name} WHERE {kind.run_column} = ? ORDER BY {order}"
    return [tuple(row) for row in stream(connection, sql, (getattr(run, kind.run_column),))]


def read_paths(
    connection: Connection, run: RunKey, only: Sequence[int] | None = None
) -> dict[int, list[Any]]:
    """A run's paths by number, each with its steps and events: the values of its leaf."""
    parts: list[dict[int, list[Any]]] = []
    for table, order in (
        (tables.paths_table, "path_no"),
        (tables.path_steps_table, "path_no, ordinal"),
        (tables.path_events_table, "path_no, step_ordinal, ordinal"),
    ):
        found: dict[int, list[Any]] = {}
        names = ", ".join(column.name for column in table.columns)
        sql = f"SELECT {names} FROM {table.name} WHERE run_no = ?"
        if only is not None:
            sql += f" AND path_no IN ({', '.join('?' * len(only))})"
        for row in stream(connection, f"{sql} ORDER BY {order}", (run.run_no, *(only or ()))):
            found.setdefault(row[1], []).append(tuple(row))
        parts.append(found)
    paths, steps, events = parts
    # Steps of a path that is not there are a record too: one that nobody wrote.
    return {
        number: path_values((paths.get(number) or [()])[0], steps.get(number, ()), events.get(number, ()))
        for number in {**paths, **steps, **events}
    }


def path_values(path: Sequence[Any], steps: Sequence[Any], events: Sequence[Any]) -> list[Any]:
    """The values of a path's leaf: its row, its steps behind their number, its events behind theirs."""
    flat = [*path, len(steps), *(value for step in steps for value in step)]
    return [*flat, len(events), *(value for event in events for value in event)]


def open_paths(connection: Connection, run: RunKey) -> set[int]:
    """The numbers of paths on which a token has not ended."""
    sql = placed(connection, "SELECT path_no FROM paths WHERE run_no = ? AND ending IS NULL")
    return {row[0] for row in connection.exec_driver_sql(sql, (run.run_no,))}


def stream(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> Iterator[Sequence[Any]]:
    """The rows of a query as the driver gives them, without holding all of them."""
    sql = placed(connection, sql)
    if connection.dialect.name != "sqlite":
        rows = connection.exec_driver_sql(sql, parameters, execution_options={"stream_results": True})
        for part in rows.partitions(_CHUNK):
            yield from part
        return
    raw = connection.connection.driver_connection
    assert raw is not None
    cursor = raw.execute(sql, parameters)
    while part := cursor.fetchmany(_CHUNK):
        yield from part


@cache
def _names(kind: Kind) -> str:
    return ", ".join(column.name for column in kind.table.columns)


@cache
def _key_places(kind: Kind) -> tuple[int, ...]:
    names = [column.name for column in kind.table.columns]
    return tuple(names.index(key) for key in kind.keys)


@cache
def _bodies() -> tuple[tuple[int, int], ...]:
    """Where a call's bodies are among its values, and where their hashes."""
    names = [column.name for column in tables.calls_table.columns]
    return tuple((names.index(body), names.index(f"{body}_hash")) for body in ("request", "response"))


def _body_hash(body: Any, recorded: Any) -> Any:
    if body is None or (isinstance(body, str) and body_reference(body, recorded) is not None):
        return recorded
    return sha256(body.encode("utf-8", "surrogateescape")).hexdigest() if isinstance(body, str) else body


@cache
def _conversions(table: Table) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    found: list[tuple[int, Callable[[Any], Any]]] = []
    for place, column in enumerate(table.columns):
        if isinstance(column.type, UtcDateTime):
            found.append((place, _micros))
        elif isinstance(column.type, Float):
            found.append((place, _real))
        elif isinstance(column.type, Numeric):
            found.append((place, str))
        elif isinstance(column.type, LargeBinary):
            found.append((place, _bytes))
    return tuple(found)


def _micros(value: Any) -> Any:
    """Microseconds since 1970; a text that is not of the one form that we write stays what it is."""
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
            written = instant.strftime(_SQLITE_TIME)
        except ValueError:
            return value
        return (instant.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND if written == value else value
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value


def _real(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) else value


def _bytes(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value
