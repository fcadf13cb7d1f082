"""Finding rows: by what they held when they were read, and by the sink that they reached."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Select, exists, select

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.payloads.forms import is_purged
from elspeth.core.landscape.payloads.store import inflate
from elspeth.core.landscape.reading.rebuild import load_row
from elspeth.core.landscape.reading.stored import names
from elspeth.core.landscape.tables import paths_table, traces_table

_BATCH = 2_000


def source_rows(
    connection: Connection, run_no: int, *, sink: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row index, row as it was read) of a run in order, streaming; purged payloads are passed over.

    With ``sink``, only rows of which some token ended there.
    """
    shapes = {
        row.path_no: names(row.shape)
        for row in connection.execute(
            select(paths_table.c.path_no, paths_table.c.shape).where(
                paths_table.c.run_no == run_no, paths_table.c.origin.is_(None)
            )
        )
    }
    trace = traces_table.c
    statement = (
        select(trace.row_no, trace.path_no, trace.payload)
        .where(trace.run_no == run_no, trace.token_no == 0, trace.payload.is_not(None))
        .order_by(trace.row_no)
    )
    if sink is not None:
        other = traces_table.alias("other")
        statement = statement.where(
            exists().where(
                other.c.run_no == run_no,
                other.c.row_no == trace.row_no,
                other.c.path_no.in_(_paths_to(run_no, sink)),
            )
        )
    stream = connection.execution_options(stream_results=True, yield_per=_BATCH).execute(statement)
    with stream:
        for row_no, path_no, stored in stream:
            if is_purged(stored):
                continue
            try:
                payload = inflate(connection, stored)
                yield row_no, load_row(payload or "", shapes.get(path_no))
            except LandscapeError as error:
                raise LandscapeError(f"row {row_no}: {error.what}") from error


def find_rows(
    connection: Connection,
    run_no: int,
    predicate: Callable[[dict[str, Any]], bool],
    *,
    sink: str | None = None,
) -> Iterator[int]:
    """Indexes of the rows for which ``predicate`` is true, in order; stop reading when you have enough."""
    rows = source_rows(connection, run_no, sink=sink)
    return (row_no for row_no, row in rows if predicate(row))


def rows_in_sink(connection: Connection, run_no: int, sink: str, limit: int) -> list[int]:
    """Indexes of the first rows of which some token ended in that sink."""
    trace = traces_table.c
    statement = (
        select(trace.row_no)
        .where(trace.run_no == run_no, trace.path_no.in_(_paths_to(run_no, sink)))
        .group_by(trace.row_no)
        .order_by(trace.row_no)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def _paths_to(run_no: int, sink: str) -> Select[tuple[int]]:
    path = paths_table.c
    return select(path.path_no).where(path.run_no == run_no, path.sink_node_id == sink)
