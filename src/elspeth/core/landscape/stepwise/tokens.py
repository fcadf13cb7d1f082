"""Single tokens in the tables of traces and paths: finding them, making them, ending them.

Record by record, each token has a path of its own, with a number from `FIRST_OWN_PATH` up; paths
below are the engine's, which many tokens share, and are copied before one token grows its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, insert, literal, select, update

from elspeth.contracts.errors import LandscapeError
from elspeth.contracts.plugins import Row
from elspeth.contracts.tokens import Token
from elspeth.core.canonical import dump, row_digest
from elspeth.core.clock import instant
from elspeth.core.landscape import ids
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.tables import (
    path_events_table,
    path_steps_table,
    paths_table,
    runs_table,
    traces_table,
)

FIRST_OWN_PATH = 1 << 30
STANDALONE = "standalone"
_WRITERS_LOCK = 0x0E15_9E74  # any number that no other program uses for an advisory lock

_trace, _path, _run = traces_table.c, paths_table.c, runs_table.c
_TOKENS = (
    select(
        _run.run_id, _trace.run_no, _trace.row_no, _trace.token_no, _trace.path_no, _trace.parent_no,
        _trace.t0, _trace.times, _trace.hashes, _trace.deltas, _trace.row_alias, _trace.token_alias,
        _path.source_node_id, _path.branch_name, _path.origin, _path.ending, _path.sink_node_id,
        _path.last_edge_id,
    )
    .join_from(traces_table, runs_table, _run.run_no == _trace.run_no)
    .join(paths_table, (_path.run_no == _trace.run_no) & (_path.path_no == _trace.path_no))
)  # fmt: skip


class RecordError(LandscapeError, ValueError):
    """A single record was refused: it contradicts what is on record, or names what is not there."""


@dataclass(frozen=True, slots=True)
class TokenAt:
    """A token as it is stored: its trace, and the ends of its path. Times are microseconds since 1970."""

    run_id: str
    run_no: int
    row_no: int
    token_no: int
    path_no: int
    parent_no: int | None
    t0: int
    times: str
    hashes: bytes
    deltas: str | None
    row_alias: str | None
    token_alias: str | None
    source_node_id: str | None = None
    branch_name: str | None = None
    origin: str | None = None
    ending: str | None = None
    sink_node_id: str | None = None
    last_edge_id: str | None = None

    @property
    def token_id(self) -> str:
        return self.token_alias or ids.token_id(self.run_id, self.row_no, self.token_no)

    @property
    def row_id(self) -> str:
        return self.row_alias or ids.row_id(self.run_id, self.row_no)

    @property
    def hash_count(self) -> int:
        return len(self.hashes) // 32


@contextmanager
def transaction(db: LandscapeDB) -> Iterator[Connection]:
    """One transaction in which nobody else writes single records: what is read in it stays true.

    Raises LandscapeError when the database refuses.
    """
    with db.writing() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(select(func.pg_advisory_xact_lock(_WRITERS_LOCK)))
        yield connection


def find_token(connection: Connection, token_id: str, run_id: str | None = None) -> TokenAt | None:
    """The token with this id; a caller's own id is that of ``run_id`` if given, else of the newest run."""
    found = _newest(connection, _TOKENS.where(_trace.token_alias == token_id), run_id)
    key = ids.parse_token_id(token_id)
    if found is not None or key is None:
        return found
    place = (_trace.row_no == key.row_no) & (_trace.token_no == key.token_no)
    return _newest(connection, _TOKENS.where(place, _trace.token_alias.is_(None)), key.run_id)


def need_token(connection: Connection, token_id: str, run_id: str | None = None) -> TokenAt:
    """The token with this id. Raises RecordError, which names it, if there is none."""
    found = find_token(connection, token_id, run_id)
    if found is None:
        raise RecordError(
            f"there is no token {token_id!r} on record", fix="create it first: create_token(row_id)"
        )
    return found


def token_at(connection: Connection, run_no: int, row_no: int, token_no: int) -> TokenAt:
    """The token in this place. Raises RecordError if there is none."""
    place = (_trace.run_no == run_no) & (_trace.row_no == row_no) & (_trace.token_no == token_no)
    found = _newest(connection, _TOKENS.where(place), None)
    if found is None:
        raise RecordError(f"row {row_no} of run number {run_no} has no token {token_no} on record")
    return found


def find_row(connection: Connection, row_id: str, run_id: str | None = None) -> TokenAt | None:
    """The first token of the row with this id; ``run_id`` as in `find_token`."""
    found = _newest(connection, _TOKENS.where(_trace.row_alias == row_id), run_id)
    key = ids.parse_row_id(row_id)
    if found is not None or key is None:
        return found
    place = (_trace.row_no == key.row_no) & _trace.row_alias.is_(None)
    return _newest(connection, _TOKENS.where(place), key.run_id)


def require_open(token: TokenAt) -> None:
    """Raises RecordError if the token has ended: nothing more can happen to it."""
    if token.ending is not None:
        where = f" in {token.sink_node_id!r}" if token.sink_node_id else ""
        raise RecordError(
            f"token {token.token_id!r} has ended ({token.ending}{where}): nothing more can happen to it"
        )


def ensure_run(connection: Connection, run_id: str, now: int) -> int:
    """The run's number; a run that is not on record is begun, with run_mode ``standalone``."""
    number = connection.execute(select(_run.run_no).where(_run.run_id == run_id)).scalar()
    if number is None:
        values = {"run_id": run_id, "started_at": instant(now), "run_mode": STANDALONE}
        key = connection.execute(insert(runs_table).values(values)).inserted_primary_key
        assert key is not None
        number = key[0]
    return int(number)


def next_row_no(connection: Connection, run_no: int) -> int:
    """The place behind all rows of the run."""
    last = connection.execute(select(func.max(_trace.row_no)).where(_trace.run_no == run_no)).scalar()
    return 0 if last is None else last + 1


def next_token_no(connection: Connection, run_no: int, row_no: int) -> int:
    """The number behind all tokens of the row."""
    where = (_trace.run_no == run_no) & (_trace.row_no == row_no)
    last = connection.execute(select(func.max(_trace.token_no)).where(where)).scalar()
    return 0 if last is None else last + 1


def store(connection: Connection, new: TokenAt, row: Row | None, hashed: bytes | None = None) -> TokenAt:
    """Put a new token down with a path of its own; its ``path_no`` is assigned here.

    ``row`` is what it starts with; None if that is not known, or is what its parent had at last
    (``hashed`` is the hash of that). Raises CanonicalError.
    """
    payload = None if row is None else dump(row).decode()
    hashes = row_digest(row) if row is not None else hashed or b""
    token = replace(new, path_no=_next_path_no(connection, new.run_no), hashes=hashes)
    connection.execute(
        insert(paths_table).values(
            run_no=token.run_no, path_no=token.path_no, source_node_id=token.source_node_id,
            branch_name=token.branch_name, origin=token.origin, last_edge_id=token.last_edge_id,
        )
    )  # fmt: skip
    connection.execute(
        insert(traces_table).values(
            run_no=token.run_no, row_no=token.row_no, token_no=token.token_no, path_no=token.path_no,
            parent_no=token.parent_no, t0=token.t0, times=token.times, hashes=hashes, payload=payload,
            row_alias=token.row_alias, token_alias=token.token_alias,
        )
    )  # fmt: skip
    return token


def own_path(connection: Connection, token: TokenAt) -> TokenAt:
    """The token with a path that no other token is on: what is added to it is added to this token only."""
    if token.path_no >= FIRST_OWN_PATH:
        return token
    number = _next_path_no(connection, token.run_no)
    for table in (paths_table, path_steps_table, path_events_table):
        names = [column.name for column in table.columns]
        values = [literal(number) if name == "path_no" else table.c[name] for name in names]
        mine = (table.c.run_no == token.run_no) & (table.c.path_no == token.path_no)
        connection.execute(insert(table).from_select(names, select(*values).where(mine)))
    change_trace(connection, token, path_no=number)
    return replace(token, path_no=number)


def end(connection: Connection, token: TokenAt, ending: str, now: int, **where: str | None) -> None:
    """Put down how the token ended; ``where`` are `paths` columns (``sink_node_id``, ``last_edge_id``)."""
    require_open(token)
    token = own_path(connection, token)
    change_path(connection, token, ending=ending, **where)
    change_trace(connection, token, times=with_time(token, now)[0])


def change_path(connection: Connection, token: TokenAt, **values: Any) -> None:
    """Set columns of the token's own path."""
    mine = (_path.run_no == token.run_no) & (_path.path_no == token.path_no)
    connection.execute(update(paths_table).where(mine).values(values))


def change_trace(connection: Connection, token: TokenAt, **values: Any) -> None:
    """Set columns of the token's trace."""
    mine = (
        (_trace.run_no == token.run_no)
        & (_trace.row_no == token.row_no)
        & (_trace.token_no == token.token_no)
    )
    connection.execute(update(traces_table).where(mine).values(values))


def with_time(token: TokenAt, now: int) -> tuple[str, int]:
    """The token's times with one more, and the slot of that."""
    times = orjson.loads(token.times)
    return orjson.dumps([*times, now - token.t0]).decode(), len(times)


def token_of(connection: Connection, at: TokenAt) -> Token:
    """The token as callers know it. The group ids are those of the view ``tokens``."""
    row, group = ids.row_id(at.run_id, at.row_no), at.origin
    parent = None
    if at.parent_no is not None:
        place = (
            (_trace.run_no == at.run_no) & (_trace.row_no == at.row_no) & (_trace.token_no == at.parent_no)
        )
        alias = connection.execute(select(_trace.token_alias).where(place)).scalar()
        parent = alias or ids.token_id(at.run_id, at.row_no, at.parent_no)
    return Token(
        token_id=at.token_id,
        row_id=at.row_id,
        parent_token_id=parent,
        fork_group_id=f"{row}-{at.parent_no}-{group}" if group in ("fork", "expand") else None,
        join_group_id=f"{row}-{at.token_no}-{group}" if group in ("join", "batch") else None,
        branch_name=at.branch_name,
        created_at=instant(at.t0),
    )


def _newest(connection: Connection, tokens: Select[Any], run_id: str | None) -> TokenAt | None:
    query = tokens.order_by(_trace.run_no.desc(), _trace.row_no, _trace.token_no).limit(1)
    if run_id is not None:
        query = query.where(_run.run_id == run_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else TokenAt(**{**row, "hashes": bytes(row["hashes"])})


def _next_path_no(connection: Connection, run_no: int) -> int:
    own = (_path.run_no == run_no) & (_path.path_no >= FIRST_OWN_PATH)
    last = connection.execute(select(func.max(_path.path_no)).where(own)).scalar()
    return FIRST_OWN_PATH if last is None else last + 1
