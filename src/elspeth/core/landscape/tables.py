"""The tables in which the landscape is really kept.

One *trace* per token, one *path* per way through the graph: see ``views.py`` for the records that
people expect (rows, tokens, node states, …), which are derived from these.

How a trace is read
    A path's steps refer to a trace by *slots*: ``in_slot`` and ``out_slot`` count 32-byte hashes in
    ``traces.hashes``; ``start_slot`` and ``end_slot`` count entries of the JSON array
    ``traces.times`` (microseconds since ``traces.t0``; slot -1 is ``t0`` itself); ``delta_slot``
    counts entries of the JSON array ``traces.deltas``: there begin the new values of the fields that
    ``path_steps.delta`` names under ``set``; ``from`` maps new names to those under which values came
    in (``{"fields": null, "set": null}``: the entry is the whole row, as an object).
    ``traces.payload`` is the row with which a token starts, as the JSON array of its values; the names
    are ``paths.shape`` (if that is null, payload is an object). A token that a fork made has no
    payload: it starts with what its parent had.
    ``traces.assigned`` says which variants the row was given while it was this token: JSON, for each
    experiment ``[variant_no, unit, bucket, sub_bucket, exposure_bucket]``. The last is left out where
    all units take part; unit is null where it is the hash of the row as it was read. Variants are
    numbered in ``experiment_variants``.

The engine writes traces when tokens have ended and shares paths between tokens. The recorder's
record-by-record calls (`stepwise`) give each token a path of its own and append to it.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from elspeth.core.landscape.types import UtcDateTime

metadata = MetaData()

Key = BigInteger().with_variant(Integer(), "sqlite")

runs_table = Table(
    "runs",
    metadata,
    Column("run_no", Key, primary_key=True, autoincrement=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("status", Text, nullable=False, server_default="running"),
    Column("config_hash", Text, nullable=False, server_default=""),
    Column("settings_json", Text, nullable=False, server_default="{}"),
    Column("run_mode", Text, nullable=False, server_default="live"),
    Column("pipeline", Text, nullable=False, server_default=""),
    Column("elspeth_version", Text, nullable=False, server_default=""),
    Column("error", Text),
)

nodes_table = Table(
    "nodes",
    metadata,
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("node_id", Text, nullable=False),
    Column("plugin_name", Text, nullable=False),
    Column("node_type", Text, nullable=False),
    Column("plugin_version", Text, nullable=False),
    Column("determinism", Text, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("config_json", Text, nullable=False),
    Column("sequence_in_pipeline", Integer, nullable=False),
    Column("schema_json", Text),
    Column("input_json", Text),  # a source's input as it was at the start: size, time, hash of its head
    PrimaryKeyConstraint("run_id", "node_id"),
)

edges_table = Table(
    "edges",
    metadata,
    Column("edge_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False, index=True),
    Column("from_node_id", Text, nullable=False),
    Column("to_node_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("default_mode", Text, nullable=False),
)

paths_table = Table(
    "paths",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("path_no", Integer, nullable=False),
    Column("source_node_id", Text),
    Column("branch_name", Text),
    Column("origin", Text),  # how the token came to be: null (a source row), fork, expand, join, batch
    Column("shape", Text),  # JSON array: the names of the starting row's fields
    Column("ending", Text),  # null (open), sink, discarded, forked, expanded, joined, batched
    Column("sink_node_id", Text),
    Column("last_edge_id", Text),
    Column("merge", Text),  # JSON: how a joined row was made, with the branch that each field came from
    PrimaryKeyConstraint("run_no", "path_no"),
)

path_steps_table = Table(
    "path_steps",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("path_no", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("in_slot", Integer),
    Column("out_slot", Integer),
    Column("start_slot", Integer, nullable=False),
    Column("end_slot", Integer),
    Column("delta", Text),  # JSON {"fields": all fields after the step in order, "set": the changed ones}
    Column("delta_slot", Integer),
    PrimaryKeyConstraint("run_no", "path_no", "ordinal"),
)

path_events_table = Table(
    "path_events",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("path_no", Integer, nullable=False),
    Column("step_ordinal", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("edge_id", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reason_hash", Text),
    Column("reason", Text),
    PrimaryKeyConstraint("run_no", "path_no", "step_ordinal", "ordinal"),
)

traces_table = Table(
    "traces",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("row_no", BigInteger, nullable=False),
    Column("token_no", Integer, nullable=False),
    Column("path_no", Integer, nullable=False),
    Column("parent_no", Integer),  # token_no of the (first) parent in the same row
    Column("t0", BigInteger, nullable=False),  # microseconds since 1970-01-01 UTC
    Column("times", Text, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    Column("payload", Text),
    Column("deltas", Text),
    Column("row_alias", Text),  # ids given by a caller of the recorder, where the engine gave none
    Column("token_alias", Text),
    Column("assigned", Text),
    PrimaryKeyConstraint("run_no", "row_no", "token_no"),
    sqlite_with_rowid=False,  # the key is the table's order: no second B-tree to fill
)
for _alias in ("token_alias", "row_alias"):
    # Written out, because an Index with a condition for PostgreSQL loads that dialect, wanted or not.
    event.listen(
        traces_table,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE INDEX ix_traces_{_alias} ON traces ({_alias}) WHERE {_alias} IS NOT NULL"
        ),
    )

joins_table = Table(
    "trace_joins",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("row_no", BigInteger, nullable=False),
    Column("token_no", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("parent_row_no", BigInteger, nullable=False),
    Column("parent_token_no", Integer, nullable=False),
    PrimaryKeyConstraint("run_no", "row_no", "token_no", "ordinal"),
    Index("ix_trace_joins_parent", "run_no", "parent_row_no", "parent_token_no"),
)

errors_table = Table(
    "trace_errors",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("row_no", BigInteger, nullable=False),
    Column("token_no", Integer, nullable=False),
    Column("step_index", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("kind", Text, nullable=False),  # validation (at a source) or transform (anywhere else)
    Column("reason", Text, nullable=False),  # JSON object with at least "error"
    Column("destination", Text, nullable=False),
    Column("t", BigInteger, nullable=False),
    PrimaryKeyConstraint("run_no", "row_no", "token_no", "step_index", "attempt"),
)

calls_table = Table(
    "calls",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("run_id", Text, nullable=False, index=True),
    Column("state_id", Text, nullable=False, index=True),
    Column("call_index", Integer, nullable=False),
    Column("call_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("provider", Text),
    Column("operation", Text),  # what was asked of the provider, in its words; null where nobody said
    Column("request_hash", Text, nullable=False),
    Column("response_hash", Text),
    Column("request", Text),
    Column("response", Text),
    Column("error", Text),
    Column("latency_ms", Float),
    Column("tokens_in", BigInteger),
    Column("tokens_out", BigInteger),
    Column("cost", Numeric(20, 10)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("cache_key", Text),
    Column("cached_from", Text),
    UniqueConstraint("state_id", "call_index"),
    # All that the health of providers is told from: whole prompts need not be passed over for it.
    Index(
        "ix_calls_health",
        "created_at",
        "provider",
        "call_type",
        "operation",
        "status",
        "latency_ms",
        "cached_from",
    ),
)
Index(
    "ix_calls_cache_key",
    calls_table.c.cache_key,
    sqlite_where=calls_table.c.cache_key.is_not(None),
    postgresql_where=calls_table.c.cache_key.is_not(None),
)

batches_table = Table(
    "batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False, index=True),
    Column("run_no", Key, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("trigger_type", Text, nullable=False),  # count, timeout, condition or end_of_source
    Column("status", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    UniqueConstraint("run_no", "batch_no"),
)

batch_tokens_table = Table(
    "batch_tokens",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("role", Text, nullable=False),  # in (a member) or out (a result)
    Column("ordinal", Integer, nullable=False),
    Column("row_no", BigInteger, nullable=False),
    Column("token_no", Integer, nullable=False),
    PrimaryKeyConstraint("run_no", "batch_no", "role", "ordinal"),
    Index("ix_batch_tokens_token", "run_no", "row_no", "token_no"),
)

waiting_tokens_table = Table(
    "waiting_tokens",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("row_no", BigInteger, nullable=False),
    Column("token_no", Integer, nullable=False),
    Column("ordinal", BigInteger, nullable=False),  # the order in which they came, over the whole run
    Column("node_id", Text, nullable=False),
    Column("branch", Text),  # the door of a coalesce at which it waits
    Column("step_index", Integer, nullable=False),  # of its last step
    Column("joins", Text, nullable=False),  # JSON: the groups that it belongs to, innermost first
    PrimaryKeyConstraint("run_no", "row_no", "token_no"),
)

leases_table = Table(
    "run_leases",
    metadata,
    Column("run_no", Key, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
)

run_events_table = Table(
    "run_events",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("kind", Text, nullable=False),  # resumed, changes_accepted, purged, …
    Column("detail", Text, nullable=False),  # JSON
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("run_no", "ordinal"),
)

artifacts_table = Table(
    "artifacts",
    metadata,
    Column("artifact_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False, index=True),
    Column("sink_node_id", Text, nullable=False),
    Column("path_or_uri", Text, nullable=False),
    Column("content_hash", Text),
    Column("size_bytes", BigInteger),
    Column("rows", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

experiment_variants_table = Table(
    "experiment_variants",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("variant_no", Integer, nullable=False),  # what marks in `traces.assigned` begin with
    Column("experiment_id", Text, nullable=False),
    Column("variant_id", Text, nullable=False),
    Column("node_id", Text, nullable=False),  # the node that assigns
    Column("transform_overrides_json", Text, nullable=False),
    Column("phase", Text, nullable=False),  # changes with the variants and their weights
    Column("hash_version", Integer, nullable=False),
    PrimaryKeyConstraint("run_no", "variant_no"),
)

assignments_table = Table(
    "assignments",  # those of recorder calls; the view `experiment_assignments` has the engine's too
    metadata,
    Column("assignment_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("row_id", Text, nullable=False),  # → rows, which is a view and so can't be referred to
    Column("experiment_id", Text, nullable=False),
    Column("variant_id", Text, nullable=False),
    Column("transform_overrides_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("run_id", "row_id", "experiment_id"),
    Index("ix_exp_assignments_experiment", "run_id", "experiment_id"),
    Index("ix_exp_assignments_variant", "experiment_id", "variant_id"),
)

experiment_readings_table = Table(
    "experiment_readings",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("experiment_id", Text, nullable=False),
    Column("reading", Text, nullable=False),  # what was read: variant, unit, …, or a metric's expression
    Column("commit_no", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),  # a value per token that came out of a variant: `readings`
    PrimaryKeyConstraint("run_no", "experiment_id", "reading", "commit_no"),
)

experiment_totals_table = Table(
    "experiment_totals",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("experiment_id", Text, nullable=False),
    Column("commit_no", Integer, nullable=False),
    Column("totals_json", Text, nullable=False),  # all readings up to this commit, added up
    PrimaryKeyConstraint("run_no", "experiment_id", "commit_no"),
)

experiment_stats_table = Table(
    "experiment_stats",
    metadata,
    Column(
        "stats_key", Text, primary_key=True
    ),  # hash of experiment, phase, metrics, runs and their last commits
    Column("experiment_id", Text, nullable=False),
    Column("totals_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

checkpoints_table = Table(
    "checkpoints",
    metadata,
    Column("run_no", Key, primary_key=True),
    Column("commit_no", Integer, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("source_positions", Text, nullable=False),  # JSON: source → position behind the last committed row
    Column("sink_positions", Text, nullable=False),  # JSON: sink → position after the last flush
    Column("node_states", Text, nullable=False, server_default="{}"),  # JSON: what nodes have to remember
    Column("phase", Text, nullable=False, server_default="reading"),  # reading, then publishing
    Column("committed_at", UtcDateTime, nullable=False),
)

tree_heads_table = Table(
    "tree_heads",
    metadata,
    Column("run_no", Key, nullable=False),
    Column("head_no", Integer, nullable=False),  # one per commit, from 0
    Column("tree_size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),  # C2SP tlog-checkpoint, signed where there is a key
    Column("first_row", BigInteger),  # the least and the greatest row_no among the new leaves' traces
    Column("last_row", BigInteger),
    Column("leaf_keys", LargeBinary, nullable=False),  # which records the new leaves are, in order
    Column("leaf_tags", LargeBinary, nullable=False),  # the first 4 bytes of each new leaf
    Column("blocks", LargeBinary, nullable=False),  # roots of the blocks of 256 leaves that they complete
    Column("frontier", LargeBinary, nullable=False),  # roots of the perfect subtrees of the whole tree
    PrimaryKeyConstraint("run_no", "head_no"),
)

tree_schemas_table = Table(
    "tree_schemas",
    metadata,
    Column("schema_hash", Text, primary_key=True),
    Column("ddl", Text, nullable=False),  # JSON: every table, view, index and trigger as it was
)
