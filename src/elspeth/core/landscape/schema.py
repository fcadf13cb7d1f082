"""The audit trail as people query it: every table and view, each bound to ``<name>_table``."""

from elspeth.core.landscape.tables import (
    artifacts_table,
    batches_table,
    calls_table,
    checkpoints_table,
    edges_table,
    metadata,
    nodes_table,
    runs_table,
    tree_heads_table,
    tree_schemas_table,
)
from elspeth.core.landscape.views import (
    batch_members_table,
    experiment_assignments_table,
    node_states_table,
    routing_events_table,
    rows_table,
    token_outcomes_table,
    token_parents_table,
    tokens_table,
    transform_errors_table,
    validation_errors_table,
    view_metadata,
)

SCHEMA_VERSION = "0001"
"""The Alembic revision that this release writes and reads."""

__all__ = [
    "SCHEMA_VERSION",
    "artifacts_table",
    "batch_members_table",
    "batches_table",
    "calls_table",
    "checkpoints_table",
    "edges_table",
    "experiment_assignments_table",
    "metadata",
    "node_states_table",
    "nodes_table",
    "routing_events_table",
    "rows_table",
    "runs_table",
    "token_outcomes_table",
    "token_parents_table",
    "tokens_table",
    "transform_errors_table",
    "tree_heads_table",
    "tree_schemas_table",
    "validation_errors_table",
    "view_metadata",
]
