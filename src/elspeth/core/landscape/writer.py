"""The one place where the engine's work reaches the database: one group, one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Table, bindparam, delete, insert, update
from sqlalchemy.exc import DBAPIError

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.bulk import insert_rows
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import Lease, renew
from elspeth.core.landscape.ledger import Written
from elspeth.core.landscape.ledger.records import path_values
from elspeth.core.landscape.paths import Path, PathBook, event_rows, path_row, step_rows
from elspeth.core.landscape.tables import (
    checkpoints_table,
    metadata,
    path_events_table,
    path_steps_table,
    paths_table,
    traces_table,
    waiting_tokens_table,
)


@dataclass(slots=True)
class Checkpoint:
    """Where a run stands: enough to go on from here. Positions and states are JSON-able.

    ``phase`` is ``reading``, or ``publishing`` once every row has ended.
    """

    commit_no: int
    rows_read: int
    source_positions: Mapping[str, Any]
    sink_positions: Mapping[str, Any]
    node_states: Mapping[str, Any]
    phase: str
    committed_at: datetime


@dataclass(slots=True)
class Group:
    """What one commit holds. Rows are tuples in the order of their table's columns.

    ``reopened`` are the keys (row, token) of traces that an earlier commit wrote as open and that
    come again in ``traces``; ``released`` those that wait no longer. ``others`` are rows for
    other tables, by the table's name.
    """

    traces: Sequence[tuple[Any, ...]]
    reopened: Sequence[tuple[int, int]] = ()
    released: Sequence[tuple[int, int]] = ()
    others: Mapping[str, Sequence[tuple[Any, ...]]] = field(default_factory=dict)


class GroupWriter:
    """Writes groups of one run. Every `commit` is atomic: all of the group, or nothing."""

    def __init__(self, db: LandscapeDB, book: PathBook, lease: Lease | None = None) -> None:
        self._db = db
        self._book = book
        self._lease = lease

    def commit(self, group: Group, checkpoint: Checkpoint) -> None:
        """Put down the group's traces with all that belongs to them, and the checkpoint behind them.

        Raises LandscapeError when the database refuses, FencedError when another process has taken over
        the run; then nothing of the group is there.
        """
        paths = self._book.take_unwritten()
        run_no = self._book.run_no
        try:
            with self._db.lock, self._db.engine.begin() as connection:
                if self._lease is not None:
                    renew(connection, self._lease, checkpoint.committed_at)
                self._delete(connection, traces_table, group.reopened)
                self._delete(connection, waiting_tokens_table, group.released)
                traces = self._db.payloads.put(connection, run_no, checkpoint.commit_no, group.traces)
                insert_rows(connection, traces_table, traces)
                insert_rows(connection, paths_table, [path_row(run_no, path) for path in paths])
                insert_rows(
                    connection, path_steps_table, [row for path in paths for row in step_rows(run_no, path)]
                )
                insert_rows(
                    connection, path_events_table, [row for path in paths for row in event_rows(run_no, path)]
                )
                for table, rows in group.others.items():
                    insert_rows(connection, metadata.tables[table], rows)
                _put_checkpoint(connection, run_no, checkpoint)
                written = Written(traces, _path_records(run_no, paths), group.others)
                head = self._db.proof.seal(connection, run_no, written)
        except (DBAPIError, self._db.engine.dialect.loaded_dbapi.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise LandscapeError(
                f"the landscape can't be written: {str(cause).strip()}",
                fix="what was committed before is safe; see to the database (space, rights, connection),"
                " then go on with `elspeth resume`",
            ) from error
        self._db.proof.publish(head)

    def _delete(self, connection: Connection, table: Table, keys: Sequence[tuple[int, int]]) -> None:
        if not keys:
            return
        where = (
            (table.c.run_no == self._book.run_no)
            & (table.c.row_no == bindparam("of_row"))
            & (table.c.token_no == bindparam("of_token"))
        )
        connection.execute(
            delete(table).where(where), [{"of_row": row, "of_token": token} for row, token in keys]
        )


def _path_records(run_no: int, paths: Sequence[Path]) -> dict[int, list[Any]]:
    """The new paths as they become leaves, by number."""
    return {
        row[1]: path_values(row, step_rows(run_no, path), event_rows(run_no, path))
        for path in paths
        for row in [path_row(run_no, path)]
    }


def _put_checkpoint(connection: Connection, run_no: int, checkpoint: Checkpoint) -> None:
    values = {
        "commit_no": checkpoint.commit_no,
        "rows_read": checkpoint.rows_read,
        "source_positions": orjson.dumps(checkpoint.source_positions).decode(),
        "sink_positions": orjson.dumps(checkpoint.sink_positions).decode(),
        "node_states": orjson.dumps(checkpoint.node_states).decode(),
        "phase": checkpoint.phase,
        "committed_at": checkpoint.committed_at,
    }
    statement = update(checkpoints_table).where(checkpoints_table.c.run_no == run_no).values(values)
    if connection.execute(statement).rowcount == 0:
        connection.execute(insert(checkpoints_table).values(run_no=run_no, **values))
