"""The one place where the engine's work reaches the database: one group, one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Table, insert, update
from sqlalchemy.exc import DBAPIError

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.bulk import insert_rows
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import PathBook, event_rows, path_row, step_rows
from elspeth.core.landscape.tables import (
    checkpoints_table,
    errors_table,
    path_events_table,
    path_steps_table,
    paths_table,
    traces_table,
)


@dataclass(slots=True)
class Checkpoint:
    """Where a run stands: enough to go on from here. Positions are JSON-able."""

    commit_no: int
    rows_read: int
    source_positions: Mapping[str, Any]
    sink_positions: Mapping[str, Any]
    committed_at: datetime


@dataclass(slots=True)
class Group:
    """What one commit holds. Rows are tuples in the order of their table's columns."""

    traces: Sequence[tuple[Any, ...]]
    errors: Sequence[tuple[Any, ...]] = ()
    others: Mapping[Table, Sequence[tuple[Any, ...]]] = field(default_factory=dict)


class GroupWriter:
    """Writes groups of one run. Every `commit` is atomic: all of the group, or nothing."""

    def __init__(self, db: LandscapeDB, book: PathBook) -> None:
        self._db = db
        self._book = book

    def commit(self, group: Group, checkpoint: Checkpoint) -> None:
        """Put down the group's traces with all that belongs to them, and the checkpoint behind them.

        Raises LandscapeError when the database refuses; then nothing of the group is there.
        """
        paths = self._book.take_unwritten()
        run_no = self._book.run_no
        try:
            with self._db.engine.begin() as connection:
                insert_rows(connection, traces_table, group.traces)
                insert_rows(connection, paths_table, [path_row(run_no, path) for path in paths])
                insert_rows(
                    connection, path_steps_table, [row for path in paths for row in step_rows(run_no, path)]
                )
                insert_rows(
                    connection, path_events_table, [row for path in paths for row in event_rows(run_no, path)]
                )
                insert_rows(connection, errors_table, group.errors)
                for table, rows in group.others.items():
                    insert_rows(connection, table, rows)
                _put_checkpoint(connection, run_no, checkpoint)
        except (DBAPIError, self._db.engine.dialect.loaded_dbapi.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise LandscapeError(
                f"the landscape can't be written: {str(cause).strip()}",
                fix="what was committed before is safe; see to the database (space, rights, connection) and resume",
            ) from error


def _put_checkpoint(connection: Connection, run_no: int, checkpoint: Checkpoint) -> None:
    values = {
        "commit_no": checkpoint.commit_no,
        "rows_read": checkpoint.rows_read,
        "source_positions": orjson.dumps(checkpoint.source_positions).decode(),
        "sink_positions": orjson.dumps(checkpoint.sink_positions).decode(),
        "committed_at": checkpoint.committed_at,
    }
    statement = update(checkpoints_table).where(checkpoints_table.c.run_no == run_no).values(values)
    if connection.execute(statement).rowcount == 0:
        connection.execute(insert(checkpoints_table).values(run_no=run_no, **values))
