"""The first landscape: traces and paths, what is irregular beside them, and the views over both.

A landscape is never taken back to an older version, so there is no ``downgrade``. A later
revision that changes a view drops and makes it again; it first puts a copy of the statements of
`view_statements` as they were here, so that this revision goes on making what it always made.
"""

import sqlalchemy as sa
from alembic import op

from elspeth.core.landscape.views import view_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _runs_and_graphs()
    _paths()
    _traces()
    _calls()
    _batches_and_artifacts()
    _assignments_and_checkpoints()
    for name, select in view_statements(op.get_bind().dialect.name).items():
        op.get_bind().exec_driver_sql(f"CREATE VIEW {name} AS {select}")


def _runs_and_graphs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_no", KEY, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.Text, nullable=False, unique=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("completed_at", INSTANT),
        sa.Column("status", sa.Text, nullable=False, server_default="running"),
        sa.Column("config_hash", sa.Text, nullable=False, server_default=""),
        sa.Column("settings_json", sa.Text, nullable=False, server_default="{}"),
        sa.Column("run_mode", sa.Text, nullable=False, server_default="live"),
        sa.Column("pipeline", sa.Text, nullable=False, server_default=""),
        sa.Column("elspeth_version", sa.Text, nullable=False, server_default=""),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "nodes",
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("plugin_name", sa.Text, nullable=False),
        sa.Column("node_type", sa.Text, nullable=False),
        sa.Column("plugin_version", sa.Text, nullable=False),
        sa.Column("determinism", sa.Text, nullable=False),
        sa.Column("config_hash", sa.Text, nullable=False),
        sa.Column("config_json", sa.Text, nullable=False),
        sa.Column("sequence_in_pipeline", sa.Integer, nullable=False),
        sa.Column("schema_json", sa.Text),
        sa.PrimaryKeyConstraint("run_id", "node_id"),
    )
    op.create_table(
        "edges",
        sa.Column("edge_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("from_node_id", sa.Text, nullable=False),
        sa.Column("to_node_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("default_mode", sa.Text, nullable=False),
    )
    op.create_index("ix_edges_run_id", "edges", ["run_id"])


def _paths() -> None:
    op.create_table(
        "paths",
        sa.Column("run_no", KEY, nullable=False),
        sa.Column("path_no", sa.Integer, nullable=False),
        sa.Column("source_node_id", sa.Text),
        sa.Column("branch_name", sa.Text),
        sa.Column("origin", sa.Text),
        sa.Column("shape", sa.Text),
        sa.Column("ending", sa.Text),
        sa.Column("sink_node_id", sa.Text),
        sa.Column("last_edge_id", sa.Text),
        sa.PrimaryKeyConstraint("run_no", "path_no"),
    )
    op.create_table(
        "path_steps",
        sa.Column("run_no", KEY, nullable=False),
        sa.Column("path_no", sa.Integer, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("step_index", sa.Integer, nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("in_slot", sa.Integer),
        sa.Column("out_slot", sa.Integer),
        sa.Column("start_slot", sa.Integer, nullable=False),
        sa.Column("end_slot", sa.Integer),
        sa.Column("delta", sa.Text),
        sa.Column("delta_slot", sa.Integer),
        sa.PrimaryKeyConstraint("run_no", "path_no", "ordinal"),
    )
    op.create_table(
        "path_events",
        sa.Column("run_no", KEY, nullable=False),
        sa.Column("path_no", sa.Integer, nullable=False),
        sa.Column("step_ordinal", sa.Integer, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("edge_id", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("reason_hash", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("run_no", "path_no", "step_ordinal", "ordinal"),
    )


def _traces() -> None:
    op.create_table(
        "traces",
        sa.Column("run_no", KEY, nullable=False),
        sa.Column("row_no", sa.BigInteger, nullable=False),
        sa.Column("token_no", sa.Integer, nullable=False),
        sa.Column("path_no", sa.Integer, nullable=False),
        sa.Column("parent_no", sa.Integer),
        sa.Column("t0", sa.BigInteger, nullable=False),
        sa.Column("times", sa.Text, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.Text),
        sa.Column("deltas", sa.Text),
        sa.Column("row_alias", sa.Text),
        sa.Column("token_alias", sa.Text),
        sa.PrimaryKeyConstraint("run_no", "row_no", "token_no"),
        sqlite_with_rowid=False,
    )
    for column in ("token_alias", "row_alias"):
        given = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_traces_{column}", "traces", [column], sqlite_where=given, postgresql_where=given)
    op.create_table(
        "trace_joins",
        sa.Column("run_no", KEY, nullable=False),
        sa.Column("row_no", sa.BigInteger, nullable=False),
        sa.Column("token_no", sa.Integer, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("parent_row_no", sa.BigInteger, nullable=False),
        sa.Column("parent_token_no", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run_no", "row_no", "token_no", "ordinal"),
    )
    op.create_table(
        "trace_errors",
        sa.Column("run_no", KEY, nullable=False),
        sa.Column("row_no", sa.BigInteger, nullable=False),
        sa.Column("token_no", sa.Integer, nullable=False),
        sa.Column("step_index", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("t", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_no", "row_no", "token_no", "step_index", "attempt"),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("state_id", sa.Text, nullable=False),
        sa.Column("call_index", sa.Integer, nullable=False),
        sa.Column("call_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("provider", sa.Text),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("response_hash", sa.Text),
        sa.Column("request", sa.Text),
        sa.Column("response", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("latency_ms", sa.Float),
        sa.Column("tokens_in", sa.BigInteger),
        sa.Column("tokens_out", sa.BigInteger),
        sa.Column("cost", sa.Numeric(20, 10)),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("state_id", "call_index"),
    )
    op.create_index("ix_calls_run_id", "calls", ["run_id"])
    op.create_index("ix_calls_state_id", "calls", ["state_id"])


def _batches_and_artifacts() -> None:
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("trigger_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("completed_at", INSTANT),
    )
    op.create_index("ix_batches_run_id", "batches", ["run_id"])
    op.create_table(
        "batch_members",
        sa.Column("batch_id", sa.Text, sa.ForeignKey("batches.batch_id"), nullable=False),
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "ordinal"),
    )
    op.create_index("ix_batch_members_token_id", "batch_members", ["token_id"])
    op.create_table(
        "artifacts",
        sa.Column("artifact_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("sink_node_id", sa.Text, nullable=False),
        sa.Column("path_or_uri", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_index("ix_artifacts_run_id", "artifacts", ["run_id"])


def _assignments_and_checkpoints() -> None:
    op.create_table(
        "experiment_assignments",
        sa.Column("assignment_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("row_id", sa.Text, nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("variant_id", sa.Text, nullable=False),
        sa.Column("transform_overrides_json", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("run_id", "row_id", "experiment_id"),
    )
    op.create_index("ix_exp_assignments_experiment", "experiment_assignments", ["run_id", "experiment_id"])
    op.create_index("ix_exp_assignments_variant", "experiment_assignments", ["experiment_id", "variant_id"])
    op.create_table(
        "checkpoints",
        sa.Column("run_no", KEY, primary_key=True),
        sa.Column("commit_no", sa.Integer, nullable=False),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("source_positions", sa.Text, nullable=False),
        sa.Column("sink_positions", sa.Text, nullable=False),
        sa.Column("committed_at", INSTANT, nullable=False),
    )
