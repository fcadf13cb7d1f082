"""Everything that is stored of many rows, with a few statements per thousand of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection, text

from elspeth.core.landscape import ids
from elspeth.core.landscape.reading.assembling import RowMaterial
from elspeth.core.landscape.reading.material import error_record
from elspeth.core.landscape.reading.stored import PathCache, stored_trace
from elspeth.core.landscape.records import CallRecord, EdgeRecord, ErrorRecord

_ROWS = 1_000
_IN_RANGE = "run_no = :run_no AND row_no >= :first AND row_no < :end"
_BOUNDS = text("SELECT MIN(row_no) AS first, MAX(row_no) AS last FROM traces WHERE run_no = :run_no")
_TRACES = text(f"SELECT * FROM traces WHERE {_IN_RANGE} ORDER BY row_no, token_no")
_ERRORS = text(
    """SELECT x.*, t.row_alias, t.token_alias FROM trace_errors x
    JOIN traces t ON t.run_no = x.run_no AND t.row_no = x.row_no AND t.token_no = x.token_no
    WHERE x.run_no = :run_no AND x.row_no >= :first AND x.row_no < :end
    ORDER BY x.row_no, x.token_no, x.step_index, x.attempt"""
)
_JOINS = text(
    """SELECT j.row_no, j.token_no, j.parent_row_no, j.parent_token_no, t.token_alias FROM trace_joins j
    LEFT JOIN traces t
    ON t.run_no = j.run_no AND t.row_no = j.parent_row_no AND t.token_no = j.parent_token_no
    WHERE j.run_no = :run_no AND j.row_no >= :first AND j.row_no < :end
    ORDER BY j.row_no, j.token_no, j.ordinal"""
)

Joins = dict[int, dict[int, list[str]]]
Errors = dict[int, dict[int, list[ErrorRecord]]]
_NO_CALLS: Mapping[str, Sequence[CallRecord]] = {}


def read_materials(
    connection: Connection, run: tuple[int, str], cache: PathCache, edges: Mapping[str, EdgeRecord]
) -> Iterator[RowMaterial]:
    """The material of every row of a run, in order. ``run`` is its number and id.

    Without calls, and without what tokens were joined into: an export has those from their own tables.
    """
    run_no, run_id = run
    bounds = connection.execute(_BOUNDS, {"run_no": run_no}).one()
    if bounds.first is None:
        return
    for first in range(bounds.first, bounds.last + 1, _ROWS):
        span = {"run_no": run_no, "first": first, "end": first + _ROWS}
        traces = [stored_trace(connection, row) for row in connection.execute(_TRACES, span).all()]
        paths = cache.read(connection, run_no, {trace.path_no for trace in traces})
        errors, joins = _errors(connection, run_id, span), _joins(connection, run_id, span)
        for row_no, of_row in groupby(traces, key=lambda trace: trace.row_no):
            yield RowMaterial(
                run_id=run_id,
                traces=list(of_row),
                paths=paths,
                edges=edges,
                errors=errors.get(row_no, {}),
                calls=_NO_CALLS,
                joins=joins.get(row_no, {}),
                joined_into={},
            )


def _errors(connection: Connection, run_id: str, span: Mapping[str, int]) -> Errors:
    found: Errors = {}
    for row in connection.execute(_ERRORS, span).mappings():
        found.setdefault(row["row_no"], {}).setdefault(row["token_no"], []).append(error_record(run_id, row))
    return found


def _joins(connection: Connection, run_id: str, span: Mapping[str, int]) -> Joins:
    found: Joins = {}
    for row in connection.execute(_JOINS, span):
        parent = row.token_alias or ids.token_id(run_id, row.parent_row_no, row.parent_token_no)
        found.setdefault(row.row_no, {}).setdefault(row.token_no, []).append(parent)
    return found
