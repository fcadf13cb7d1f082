"""All records of a run in a fixed order, streamed: what the run is, then row by row what became of it."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Table, select, text

from elspeth.contracts.enums import RunStatus
from elspeth.core.landscape import runs
from elspeth.core.landscape.export.bulk_material import read_materials
from elspeth.core.landscape.export.record_types import RECORD_TYPES, is_binary
from elspeth.core.landscape.payloads.store import inflate_body
from elspeth.core.landscape.reading.assembling import assemble
from elspeth.core.landscape.reading.lineage import NodeStateRecord, RowLineage, TokenLineage
from elspeth.core.landscape.reading.stored import PathCache
from elspeth.core.landscape.records import EdgeRecord, ErrorRecord, RunRecord
from elspeth.core.landscape.tables import experiment_readings_table
from elspeth.core.landscape.variants.packing import values_in

Values = tuple[Any, ...]
Record = tuple[str, Values]
"""The name of a record type, and one value per column of it."""

_BATCH = 2_000
_NEW_ROWS = ("expand", "join", "batch")
_FIRST = (
    "runs", "nodes", "edges", "experiment_assignments", "experiment_readings", "experiment_totals", "batches",
    "calls", "artifacts", "run_events",
)  # fmt: skip
_MEMBERS = text(
    """SELECT b.batch_id, m.row_no, m.token_no, m.ordinal, t.token_alias FROM batch_tokens m
    JOIN batches b ON b.run_no = m.run_no AND b.batch_no = m.batch_no
    LEFT JOIN traces t ON t.run_no = m.run_no AND t.row_no = m.row_no AND t.token_no = m.token_no
    WHERE m.run_no = :run_no AND m.role = 'in' ORDER BY m.batch_no, m.ordinal"""
)
_BATCH_PARENTS = text(
    """SELECT m.row_no, m.token_no, t.token_alias FROM batch_tokens o
    JOIN batch_tokens m ON m.run_no = o.run_no AND m.batch_no = o.batch_no AND m.role = 'in'
    LEFT JOIN traces t ON t.run_no = m.run_no AND t.row_no = m.row_no AND t.token_no = m.token_no
    WHERE o.run_no = :run_no AND o.row_no = :row_no AND o.token_no = :token_no AND o.role = 'out'
    ORDER BY m.ordinal"""
)

_CALL_NAMES = RECORD_TYPES["calls"].names
_BODIES = [(_CALL_NAMES.index(name), _CALL_NAMES.index(f"{name}_hash")) for name in ("request", "response")]


def records(connection: Connection, run: RunRecord) -> Iterator[Record]:
    """Every record of a run. Two exports of an unchanged run give the same records in the same order.

    Rows' data are rebuilt and held against their hashes on the way. Raises LandscapeError where
    the record contradicts itself.
    """
    for name in _FIRST:
        record_type = RECORD_TYPES[name]
        assert record_type.table is not None
        for values in _of_table(connection, run, record_type.table):
            yield name, _with_bodies(connection, values) if name == "calls" else values
    for member in connection.execute(_MEMBERS, {"run_no": run.run_no}):
        member_id = member.token_alias or f"{run.run_id}-{member.row_no}-{member.token_no}"
        yield "batch_members", (run.run_id, member.batch_id, member_id, member.ordinal)
    edges: Mapping[str, EdgeRecord] = {e.edge_id: e for e in runs.read_edges(connection, run.run_id)}
    for material in read_materials(connection, (run.run_no, run.run_id), PathCache(), edges):
        yield from _row(connection, run, assemble(material))


def unfinished(run: RunRecord) -> bool:
    """Whether a run may still change."""
    return run.status == RunStatus.RUNNING


def _of_table(connection: Connection, run: RunRecord, table: Table) -> Iterator[Values]:
    binary = values_in if table is experiment_readings_table else _as_text
    convert: list[Callable[[Any], Any]] = [binary if is_binary(c.type) else _plain for c in table.columns]
    by_id = "run_id" in table.columns
    chosen = [i for i, c in enumerate(table.columns) if c.name not in ("run_no", "batch_no")]
    where = table.c.run_id == run.run_id if by_id else table.c.run_no == run.run_no
    query = select(table).where(where).order_by(*table.primary_key.columns)
    head = () if by_id else (run.run_id,)
    with connection.execution_options(stream_results=True, yield_per=_BATCH).execute(query) as found:
        for row in found:
            yield (*head, *(convert[i](row[i]) for i in chosen))


def _with_bodies(connection: Connection, values: Values) -> Values:
    """A call with its bodies as they were, wherever they are kept."""
    whole = list(values)
    for body, hashed in _BODIES:
        whole[body] = inflate_body(connection, values[body], values[hashed])
    return tuple(whole)


def _plain(value: Any) -> Any:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def _as_text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).hex()


def _row(connection: Connection, run: RunRecord, row: RowLineage) -> Iterator[Record]:
    tokens = sorted(row.tokens, key=lambda token: token.token_no)
    if tokens and tokens[0].token_no == 0:
        yield "rows", (
            row.row_id, run.run_id, row.source_node_id, row.row_index, row.source_data_hash, row.created_at,
            row.source_data,
        )  # fmt: skip
    for token in tokens:
        yield from _token(connection, run, row, token)


def _token(connection: Connection, run: RunRecord, row: RowLineage, token: TokenLineage) -> Iterator[Record]:
    yield "tokens", (
        token.token_id, token.row_id, run.run_id, token.fork_group_id, token.join_group_id,
        token.branch_name, token.created_at, token.start_data if token.origin in _NEW_ROWS else None,
    )  # fmt: skip
    parents = _batch_parents(connection, run, row, token) if token.origin == "batch" else token.parents
    for ordinal, parent in enumerate(parents):
        yield "token_parents", (run.run_id, token.token_id, parent, ordinal)
    left = token.states[0].input_hash if token.states else None
    for state in token.states:
        yield "node_states", _state(run, state, left)
        left = state.output_hash or state.input_hash
    for event in token.events:
        yield "routing_events", (
            event.event_id, event.state_id, run.run_id, event.edge_id, event.routing_group_id, event.ordinal,
            event.mode, event.reason_hash, event.reason, event.created_at,
        )  # fmt: skip
    for error in token.errors:
        yield f"{error.kind}_errors", _error(run, error)
    if token.outcome is not None:
        yield "token_outcomes", (token.token_id, run.run_id, token.outcome, token.sink_name, token.ended_at)


def _batch_parents(
    connection: Connection, run: RunRecord, row: RowLineage, token: TokenLineage
) -> Iterator[str]:
    key = {"run_no": run.run_no, "row_no": row.row_index, "token_no": token.token_no}
    for parent in connection.execute(_BATCH_PARENTS, key):
        yield parent.token_alias or f"{run.run_id}-{parent.row_no}-{parent.token_no}"


def _state(run: RunRecord, state: NodeStateRecord, left: str | None) -> Values:
    """``left`` is the hash of the row as it was before: what is the same is not written again."""
    before = None if state.input_hash == left else state.input_data
    after = None if state.output_hash == state.input_hash else state.output_data
    return (
        state.state_id, state.token_id, run.run_id, state.node_id, state.step_index, state.attempt,
        state.status, state.input_hash, state.output_hash, state.started_at, state.completed_at,
        state.duration_ms, before, after,
    )  # fmt: skip


def _error(run: RunRecord, error: ErrorRecord) -> Values:
    return (
        error.error_id, run.run_id, error.row_id, error.token_id, error.state_id, error.node_id,
        error.reason, error.destination, error.created_at,
    )  # fmt: skip
