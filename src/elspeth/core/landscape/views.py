"""The relational records that people expect, as SQL views over traces and paths.

``rows``, ``tokens``, ``token_parents``, ``token_outcomes``, ``node_states``, ``routing_events``,
``validation_errors``, ``transform_errors`` and ``experiment_assignments`` read as if each record had
been written out one by one. A filter on ``run_id`` is fast; a filter on an id computed here (``token_id``) scans the run:
`reader` and `recorder` go to the traces by key instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from elspeth.core.landscape.tables import runs_table
from elspeth.core.landscape.types import UtcDateTime

view_metadata = MetaData()


@dataclass(frozen=True, slots=True)
class Words:
    """What SQLite and PostgreSQL spell differently. Templates take ``{x}`` (an SQL expression)."""

    instant: str
    hash_at: str
    time_at: str
    last_time: str
    marks: str
    of_mark: str


DIALECTS: Mapping[str, Words] = {
    "sqlite": Words(
        instant="strftime('%Y-%m-%d %H:%M:%S', ({x}) / 1000000, 'unixepoch') || printf('.%06d', ({x}) % 1000000)",
        hash_at="lower(hex(substr(t.hashes, 1 + 32 * {x}, 32)))",
        time_at="CASE WHEN {x} < 0 THEN 0 ELSE json_extract(t.times, '$[' || {x} || ']') END",
        last_time="COALESCE(json_extract(t.times, '$[#-1]'), 0)",
        marks="json_each(t.assigned) m",
        of_mark="json_extract(m.value, '$[{x}]')",
    ),
    "postgresql": Words(
        instant="timestamptz 'epoch' + ({x}) * interval '1 microsecond'",
        hash_at="encode(substring(t.hashes from 1 + 32 * {x} for 32), 'hex')",
        time_at="CASE WHEN {x} < 0 THEN 0 ELSE (t.times::json->>{x})::bigint END",
        last_time="COALESCE((t.times::json->>-1)::bigint, 0)",
        marks="LATERAL json_array_elements(t.assigned::json) m(value)",
        of_mark="(m.value->>{x})",
    ),
}

ROW_ID = "COALESCE(t.row_alias, r.run_id || '-' || t.row_no)"
TOKEN_ID = "COALESCE(t.token_alias, r.run_id || '-' || t.row_no || '-' || t.token_no)"
PARENT_ID = "COALESCE(u.token_alias, r.run_id || '-' || u.row_no || '-' || u.token_no)"
STATE_ID = f"{TOKEN_ID} || '-' || s.step_index || '.' || s.attempt"

_TRACE = "FROM traces t JOIN runs r ON r.run_no = t.run_no"
_PATH = "JOIN paths p ON p.run_no = t.run_no AND p.path_no = t.path_no"
_STEP = "JOIN path_steps s ON s.run_no = t.run_no AND s.path_no = t.path_no"

# The one place where a terminal state is derived from what was recorded.
OUTCOME = """CASE p.ending
    WHEN 'forked' THEN 'FORKED'
    WHEN 'expanded' THEN 'EXPANDED'
    WHEN 'joined' THEN 'COALESCED'
    WHEN 'batched' THEN 'CONSUMED_IN_BATCH'
    WHEN 'discarded' THEN 'DISCARDED'
    WHEN 'sink' THEN CASE
        WHEN e.default_mode = 'divert' AND (n.node_type = 'source' OR e.to_node_id = 'quarantine') THEN 'QUARANTINED'
        WHEN e.default_mode = 'divert' THEN 'FAILED'
        WHEN e.default_mode = 'move' AND n.node_type = 'gate' THEN 'ROUTED'
        ELSE 'COMPLETED' END
    END"""


ASSIGNED = "r.run_id || '-' || t.row_no || '-' || x.experiment_id"


def assigned_by_engine(dialect: str, also: str = "") -> str:
    """The SELECT of the assignments that runs of the engine made, one record for each mark of a trace.

    ``also`` is SQL (``AND …``) over runs ``r``, traces ``t`` and experiment_variants ``x``. A unit that is not
    in the mark is the source row's content hash.
    """
    w = DIALECTS[dialect]
    number, unit, bucket, sub_bucket, exposure = (w.of_mark.format(x=place) for place in range(5))
    at = w.instant.format(x=f"t.t0 + {w.time_at.format(x='s.end_slot')}")
    content = w.hash_at.format(x="0").replace("t.", "u.")
    # Joined in this order: SQLite would read all traces once for each variant.
    return f"""SELECT {ASSIGNED} AS assignment_id, r.run_id, {ROW_ID} AS row_id, x.experiment_id, x.variant_id,
        x.transform_overrides_json, (SELECT {at} FROM path_steps s WHERE s.run_no = t.run_no
            AND s.path_no = t.path_no AND s.node_id = x.node_id) AS created_at,
        COALESCE({unit}, (SELECT {content} FROM traces u WHERE u.run_no = t.run_no AND u.row_no = t.row_no
            AND u.token_no = 0)) AS unit,
        CAST({bucket} AS INTEGER) AS bucket, CAST({sub_bucket} AS INTEGER) AS sub_bucket,
        CAST({exposure} AS INTEGER) AS exposure_bucket, x.phase, x.hash_version
        FROM runs r CROSS JOIN traces t CROSS JOIN {w.marks}
        CROSS JOIN experiment_variants x
        WHERE t.run_no = r.run_no AND t.assigned IS NOT NULL AND x.run_no = r.run_no
        AND x.variant_no = CAST({number} AS INTEGER) {also}"""


def view_statements(dialect: str) -> dict[str, str]:
    """View name → its SELECT, for ``sqlite`` or ``postgresql``."""
    w = DIALECTS[dialect]
    started = w.instant.format(x=f"t.t0 + {w.time_at.format(x='s.start_slot')}")
    ended = w.instant.format(x=f"t.t0 + {w.time_at.format(x='s.end_slot')}")
    born = w.instant.format(x="t.t0")
    last = w.instant.format(x=f"t.t0 + {w.last_time}")
    duration = f"({w.time_at.format(x='s.end_slot')} - {w.time_at.format(x='s.start_slot')}) / 1000.0"
    error = f"""SELECT {STATE_ID.replace("s.", "x.")} || '-error' AS error_id, r.run_id, {ROW_ID} AS row_id, {TOKEN_ID} AS token_id,
        {STATE_ID.replace("s.", "x.")} AS state_id, x.node_id, x.reason, x.destination, {w.instant.format(x="x.t")} AS created_at
        FROM trace_errors x JOIN runs r ON r.run_no = x.run_no
        JOIN traces t ON t.run_no = x.run_no AND t.row_no = x.row_no AND t.token_no = x.token_no"""
    return {
        "rows": f"""SELECT {ROW_ID} AS row_id, r.run_id, p.source_node_id, t.row_no AS row_index,
            {w.hash_at.format(x="0")} AS source_data_hash, {born} AS created_at
            {_TRACE} {_PATH} WHERE t.token_no = 0""",
        "tokens": f"""SELECT {TOKEN_ID} AS token_id, {ROW_ID} AS row_id, r.run_id,
            CASE WHEN p.origin IN ('fork', 'expand')
                THEN r.run_id || '-' || t.row_no || '-' || t.parent_no || '-' || p.origin END AS fork_group_id,
            CASE WHEN p.origin IN ('join', 'batch')
                THEN r.run_id || '-' || t.row_no || '-' || t.token_no || '-' || p.origin END AS join_group_id,
            p.branch_name, {born} AS created_at
            {_TRACE} {_PATH}""",
        "token_parents": f"""SELECT {TOKEN_ID} AS token_id, {PARENT_ID} AS parent_token_id, 0 AS ordinal
            {_TRACE} {_PATH} JOIN traces u ON u.run_no = t.run_no AND u.row_no = t.row_no AND u.token_no = t.parent_no
            WHERE p.origin IN ('fork', 'expand')
            UNION ALL SELECT {TOKEN_ID}, {PARENT_ID}, j.ordinal
            {_TRACE} JOIN trace_joins j ON j.run_no = t.run_no AND j.row_no = t.row_no AND j.token_no = t.token_no
            JOIN traces u ON u.run_no = t.run_no AND u.row_no = j.parent_row_no AND u.token_no = j.parent_token_no
            UNION ALL SELECT {TOKEN_ID}, {PARENT_ID}, m.ordinal
            {_TRACE} {_PATH} JOIN batch_tokens o ON o.run_no = t.run_no AND o.row_no = t.row_no
                AND o.token_no = t.token_no AND o.role = 'out'
            JOIN batch_tokens m ON m.run_no = o.run_no AND m.batch_no = o.batch_no AND m.role = 'in'
            JOIN traces u ON u.run_no = m.run_no AND u.row_no = m.row_no AND u.token_no = m.token_no
            WHERE p.origin = 'batch'""",
        "batch_members": f"""SELECT b.batch_id, {TOKEN_ID} AS token_id, m.ordinal
            FROM batch_tokens m JOIN runs r ON r.run_no = m.run_no
            JOIN batches b ON b.run_no = m.run_no AND b.batch_no = m.batch_no
            JOIN traces t ON t.run_no = m.run_no AND t.row_no = m.row_no AND t.token_no = m.token_no
            WHERE m.role = 'in'""",
        "token_outcomes": f"""SELECT {TOKEN_ID} AS token_id, r.run_id, {OUTCOME} AS outcome,
            p.sink_node_id AS sink_name, {last} AS recorded_at
            {_TRACE} {_PATH} LEFT JOIN edges e ON e.edge_id = p.last_edge_id
            LEFT JOIN nodes n ON n.run_id = e.run_id AND n.node_id = e.from_node_id
            WHERE p.ending IS NOT NULL""",
        "node_states": f"""SELECT {STATE_ID} AS state_id, {TOKEN_ID} AS token_id, r.run_id, s.node_id, s.step_index,
            s.attempt, s.status, {w.hash_at.format(x="s.in_slot")} AS input_hash,
            CASE WHEN s.out_slot IS NOT NULL THEN {w.hash_at.format(x="s.out_slot")} END AS output_hash,
            {started} AS started_at, CASE WHEN s.end_slot IS NOT NULL THEN {ended} END AS completed_at,
            CASE WHEN s.end_slot IS NOT NULL THEN {duration} END AS duration_ms
            {_TRACE} {_STEP}""",
        "routing_events": f"""SELECT {STATE_ID} || '-event-' || v.ordinal AS event_id, {STATE_ID} AS state_id, r.run_id,
            v.edge_id, {STATE_ID} || '-routing' AS routing_group_id, v.ordinal, v.mode, v.reason_hash, v.reason,
            {ended} AS created_at
            {_TRACE} {_STEP}
            JOIN path_events v ON v.run_no = t.run_no AND v.path_no = t.path_no AND v.step_ordinal = s.ordinal""",
        "experiment_assignments": f"""{assigned_by_engine(dialect)}
            UNION ALL SELECT assignment_id, run_id, row_id, experiment_id, variant_id, transform_overrides_json,
            created_at, CAST(NULL AS TEXT), CAST(NULL AS INTEGER), CAST(NULL AS INTEGER), CAST(NULL AS INTEGER),
            CAST(NULL AS TEXT), CAST(NULL AS INTEGER) FROM assignments""",
        "validation_errors": f"{error} WHERE x.kind = 'validation'",
        "transform_errors": f"{error} WHERE x.kind = 'transform'",
    }


rows_table = Table(
    "rows",
    view_metadata,
    Column("row_id", Text, primary_key=True),
    Column("run_id", Text),
    Column("source_node_id", Text),
    Column("row_index", BigInteger),
    Column("source_data_hash", Text),
    Column("created_at", UtcDateTime),
)
tokens_table = Table(
    "tokens",
    view_metadata,
    Column("token_id", Text, primary_key=True),
    Column("row_id", Text),
    Column("run_id", Text),
    Column("fork_group_id", Text),
    Column("join_group_id", Text),
    Column("branch_name", Text),
    Column("created_at", UtcDateTime),
)
token_parents_table = Table(
    "token_parents",
    view_metadata,
    Column("token_id", Text, primary_key=True),
    Column("parent_token_id", Text),
    Column("ordinal", Integer, primary_key=True),
)
batch_members_table = Table(
    "batch_members",
    view_metadata,
    Column("batch_id", Text, primary_key=True),
    Column("token_id", Text),
    Column("ordinal", Integer, primary_key=True),
)
token_outcomes_table = Table(
    "token_outcomes",
    view_metadata,
    Column("token_id", Text, primary_key=True),
    Column("run_id", Text),
    Column("outcome", Text),
    Column("sink_name", Text),
    Column("recorded_at", UtcDateTime),
)
node_states_table = Table(
    "node_states",
    view_metadata,
    Column("state_id", Text, primary_key=True),
    Column("token_id", Text),
    Column("run_id", Text),
    Column("node_id", Text),
    Column("step_index", Integer),
    Column("attempt", Integer),
    Column("status", Text),
    Column("input_hash", Text),
    Column("output_hash", Text),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("duration_ms", Float),
)
routing_events_table = Table(
    "routing_events",
    view_metadata,
    Column("event_id", Text, primary_key=True),
    Column("state_id", Text),
    Column("run_id", Text),
    Column("edge_id", Text),
    Column("routing_group_id", Text),
    Column("ordinal", Integer),
    Column("mode", Text),
    Column("reason_hash", Text),
    Column("reason", Text),
    Column("created_at", UtcDateTime),
)


def _error_view(name: str) -> Table:
    return Table(
        name,
        view_metadata,
        Column("error_id", Text, primary_key=True),
        Column("run_id", Text),
        Column("row_id", Text),
        Column("token_id", Text),
        Column("state_id", Text),
        Column("node_id", Text),
        Column("reason", Text),
        Column("destination", Text),
        Column("created_at", UtcDateTime),
    )


validation_errors_table = _error_view("validation_errors")
transform_errors_table = _error_view("transform_errors")
experiment_assignments_table = Table(
    "experiment_assignments",
    view_metadata,
    Column("assignment_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey(runs_table.c.run_id), nullable=False),
    Column("row_id", Text, nullable=False),
    Column("experiment_id", Text, nullable=False),
    Column("variant_id", Text, nullable=False),
    Column("transform_overrides_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("unit", Text),  # what was hashed; null where a caller of the recorder did not say
    Column("bucket", Integer),  # of 100
    Column("sub_bucket", Integer),  # of 100, within the bucket
    Column("exposure_bucket", Integer),  # of 10,000; null where every unit takes part
    Column("phase", Text),
    Column("hash_version", Integer),
    UniqueConstraint("run_id", "row_id", "experiment_id"),
    Index("ix_exp_assignments_experiment", "run_id", "experiment_id"),
    Index("ix_exp_assignments_variant", "experiment_id", "variant_id"),
)
"""What holds for the engine's assignments by their making; for those of recorder calls the database sees to it."""
