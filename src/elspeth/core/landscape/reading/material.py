"""Reading everything that is stored of one row, by primary key."""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, RowMapping, bindparam, text

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape import ids
from elspeth.core.landscape.calls.log import call_record
from elspeth.core.landscape.reading.assembling import RowMaterial, row_id_of, token_id_of
from elspeth.core.landscape.reading.assigned import of_row
from elspeth.core.landscape.reading.batching import read_batches
from elspeth.core.landscape.reading.lineage import Assignment
from elspeth.core.landscape.reading.stored import PathCache, StoredPath, StoredTrace, instant, read_traces
from elspeth.core.landscape.records import CallRecord, EdgeRecord, ErrorRecord
from elspeth.core.landscape.statements import statement
from elspeth.core.landscape.tables import calls_table

_ERRORS_SQL = """SELECT x.*, t.row_alias, t.token_alias
    FROM trace_errors x JOIN traces t
    ON t.run_no = x.run_no AND t.row_no = x.row_no AND t.token_no = x.token_no
    WHERE x.run_no = :run_no {also} ORDER BY x.row_no, x.token_no, x.step_index, x.attempt {rest}"""
_ERRORS = text(_ERRORS_SQL.format(also="AND x.row_no = :row_no", rest=""))
_ERRORS_OF_RUN = text(_ERRORS_SQL.format(also="", rest="LIMIT :limit"))
_CALLS = statement(
    calls_table, CallRecord, "WHERE state_id IN :state_ids ORDER BY state_id, call_index"
).bindparams(bindparam("state_ids", expanding=True))
_PARENTS = text(
    """SELECT j.token_no, j.parent_row_no, j.parent_token_no, t.token_alias
    FROM trace_joins j LEFT JOIN traces t
    ON t.run_no = j.run_no AND t.row_no = j.parent_row_no AND t.token_no = j.parent_token_no
    WHERE j.run_no = :run_no AND j.row_no = :row_no ORDER BY j.token_no, j.ordinal"""
)
_CHILDREN = text(
    """SELECT j.parent_token_no, j.row_no, j.token_no, t.token_alias
    FROM trace_joins j LEFT JOIN traces t
    ON t.run_no = j.run_no AND t.row_no = j.row_no AND t.token_no = j.token_no
    WHERE j.run_no = :run_no AND j.parent_row_no = :row_no ORDER BY j.row_no, j.token_no"""
)


def read_material(
    connection: Connection,
    run: tuple[int, str],
    row_no: int,
    cache: PathCache,
    edges: Mapping[str, EdgeRecord],
) -> RowMaterial | None:
    """All of one row; None if there is no such row. ``run`` is its number and id."""
    run_no, run_id = run
    traces = read_traces(connection, run_no, row_no)
    if not traces:
        return None
    paths = cache.read(connection, run_no, {trace.path_no for trace in traces})
    key = {"run_no": run_no, "row_no": row_no}
    origins = {path.origin for path in paths.values()}
    endings = {path.ending for path in paths.values()}
    made_by_join, taken_in = "join" in origins, "joined" in endings
    return RowMaterial(
        run_id=run_id,
        traces=traces,
        paths=paths,
        edges=edges,
        errors=_errors(connection, run_id, key),
        calls=_calls(connection, run_id, traces, paths),
        joins=_parents(connection, run_id, key) if made_by_join else {},
        joined_into=_children(connection, run_id, key) if taken_in else {},
        batches=read_batches(connection, run_id, key),
        assignments=_assignments(connection, run_id, row_id_of(run_id, traces[0])),
    )


def read_errors(connection: Connection, run: tuple[int, str], limit: int) -> list[ErrorRecord]:
    """The first errors of a run in row order. ``run`` is its number and id."""
    rows = connection.execute(_ERRORS_OF_RUN, {"run_no": run[0], "limit": limit}).mappings()
    return [error_record(run[1], row) for row in rows]


def error_record(run_id: str, row: RowMapping) -> ErrorRecord:
    """One row of ``trace_errors``, with its token's aliases."""
    try:
        reason = orjson.loads(row["reason"])
    except orjson.JSONDecodeError as error:
        raise LandscapeError(
            f"the reason of an error of row {row['row_no']} can't be read: {row['reason'][:60]!r} ({error})"
        ) from error
    token_id = row["token_alias"] or ids.token_id(run_id, row["row_no"], row["token_no"])
    state_id = ids.state_id(token_id, row["step_index"], row["attempt"])
    return ErrorRecord(
        error_id=ids.error_id(state_id),
        row_id=row["row_alias"] or ids.row_id(run_id, row["row_no"]),
        token_id=token_id,
        state_id=state_id,
        node_id=row["node_id"],
        kind=row["kind"],
        reason=reason,
        destination=row["destination"],
        created_at=instant(row["t"]),
    )


def _errors(connection: Connection, run_id: str, key: Mapping[str, int]) -> dict[int, list[ErrorRecord]]:
    found: dict[int, list[ErrorRecord]] = {}
    for row in connection.execute(_ERRORS, key).mappings():
        found.setdefault(row["token_no"], []).append(error_record(run_id, row))
    return found


def _calls(
    connection: Connection, run_id: str, traces: Sequence[StoredTrace], paths: Mapping[int, StoredPath]
) -> dict[str, list[CallRecord]]:
    state_ids = [
        ids.state_id(token_id_of(run_id, trace), step.step_index, step.attempt)
        for trace in traces
        for step in paths[trace.path_no].steps
    ]
    found: dict[str, list[CallRecord]] = {}
    for start in range(0, len(state_ids), 500):
        chunk = {"state_ids": state_ids[start : start + 500]}
        for row in connection.execute(_CALLS, chunk).mappings():
            found.setdefault(row["state_id"], []).append(call_record(connection, row))
    return found


def _assignments(connection: Connection, run_id: str, row_id: str) -> list[Assignment]:
    return [
        Assignment(
            experiment_id,
            row["variant_id"],
            row["unit"],
            row["bucket"],
            row["sub_bucket"],
            row["phase"],
            orjson.loads(row["transform_overrides_json"]),
        )
        for experiment_id, row in of_row(connection, run_id, row_id).items()
    ]


def _parents(connection: Connection, run_id: str, key: Mapping[str, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in connection.execute(_PARENTS, key):
        parent = row.token_alias or ids.token_id(run_id, row.parent_row_no, row.parent_token_no)
        found.setdefault(row.token_no, []).append(parent)
    return found


def _children(connection: Connection, run_id: str, key: Mapping[str, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in connection.execute(_CHILDREN, key):
        child = row.token_alias or ids.token_id(run_id, row.row_no, row.token_no)
        found.setdefault(row.parent_token_no, []).append(child)
    return found
