"""An explanation as plain JSON values: the shape of ``elspeth explain --json``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from elspeth.api.story import Story
from elspeth.core.canonical import dump
from elspeth.core.landscape.reading.lineage import (
    Assignment,
    BatchMembership,
    Changes,
    Decision,
    MergeRecord,
    NodeStateRecord,
    RowLineage,
    TokenLineage,
)
from elspeth.core.landscape.records import ArtifactRecord, CallRecord, ErrorRecord, RunRecord

MOST_OF_A_BATCH = 100
"""So many members or results of one batch are listed; there may be thousands, of each token."""


def story_dict(story: Story) -> dict[str, Any]:
    """All of it, nested as rows → tokens → steps and children."""
    return {
        "run": run_dict(story.run),
        "token_id": story.token_id,
        "rows": [_row(row, story) for row in story.rows],
        "more": story.more,
        "purged_at": moment(story.purged_at),
    }


def run_dict(run: RunRecord) -> dict[str, Any]:
    """A run's own facts."""
    return {
        "run_id": run.run_id,
        "status": run.status,
        "started_at": moment(run.started_at),
        "completed_at": moment(run.completed_at),
        "duration_s": run.duration_s,
        "run_mode": run.run_mode,
        "pipeline": run.pipeline,
        "config_hash": run.config_hash,
        "elspeth_version": run.elspeth_version,
        "error": run.error,
    }


def artifact_dict(artifact: ArtifactRecord | None) -> dict[str, Any] | None:
    """Where an artifact is, and its hash and size; None while the sink has published nothing."""
    if artifact is None:
        return None
    return {
        "path": artifact.path_or_uri,
        "sha256": artifact.content_hash,
        "bytes": artifact.size_bytes,
        "rows": artifact.rows,
    }


def moment(time: datetime | None) -> str | None:
    """A time as ISO 8601 with microseconds, in UTC."""
    return None if time is None else time.isoformat(timespec="microseconds")


def plain(value: Any) -> Any:
    """A value as JSON has it; what JSON lacks in its tagged form, so that nothing is lost."""
    return orjson.loads(dump(value))


def _row(row: RowLineage, story: Story) -> dict[str, Any]:
    node = story.nodes.get(row.source_node_id or "")
    return {
        "row_id": row.row_id,
        "row_index": row.row_index,
        "source": {
            "node_id": row.source_node_id,
            "plugin": node.plugin_name if node else None,
            "data": _data(row.source_data),
            "hash": row.source_data_hash,
            "created_at": moment(row.created_at),
        },
        **({"experiments": [_assignment(one) for one in row.assignments]} if row.assignments else {}),
        "tokens": [_token(token, story) for token in row.roots],
    }


def _assignment(one: Assignment) -> dict[str, Any]:
    return {
        "experiment_id": one.experiment_id,
        "variant_id": one.variant_id,
        "unit": one.unit,
        "bucket": one.bucket,
        "sub_bucket": one.sub_bucket,
        "phase": one.phase,
        "transform_overrides": dict(one.transform_overrides),
    }


def _token(token: TokenLineage, story: Story) -> dict[str, Any]:
    artifact = story.artifacts.get(token.sink_name) if token.sink_name else None
    return {
        "token_id": token.token_id,
        "origin": token.origin,
        "branch": token.branch_name,
        "fork_group_id": token.fork_group_id,
        "join_group_id": token.join_group_id,
        "parents": list(token.parents[:MOST_OF_A_BATCH] if token.origin == "batch" else token.parents),
        "merge": None if token.merge is None else _merge(token.merge),
        "batches": [_batch(place) for place in token.batches],
        "outcome": token.outcome,
        "sink": token.sink_name,
        "artifact": artifact_dict(artifact),
        "created_at": moment(token.created_at),
        "ended_at": moment(token.ended_at),
        "steps": [_state(state, token, story) for state in token.states],
        "errors": [_error(error) for error in token.errors],
        "joined_into": list(token.joined_into[:MOST_OF_A_BATCH]),
        "children": [_token(child, story) for child in token.children],
    }


def _merge(merge: MergeRecord) -> dict[str, Any]:
    return {
        "coalesce": merge.coalesce,
        "policy": merge.policy,
        "merge": merge.merge,
        "branches": list(merge.branches),
        "origins": dict(merge.origins),
    }


def _batch(place: BatchMembership) -> dict[str, Any]:
    batch = place.batch
    return {
        "batch_id": batch.batch_id,
        "node_id": batch.node_id,
        "role": "member" if place.role == "in" else "result",
        "ordinal": place.ordinal,
        "trigger": batch.trigger_type,
        "status": batch.status,
        "created_at": moment(batch.created_at),
        "completed_at": moment(batch.completed_at),
        "member_count": len(batch.members),
        "members": list(batch.members[:MOST_OF_A_BATCH]),
        "result_count": len(batch.results),
        "results": list(batch.results[:MOST_OF_A_BATCH]),
    }


def _state(state: NodeStateRecord, token: TokenLineage, story: Story) -> dict[str, Any]:
    node = story.nodes.get(state.node_id)
    decision = next((made for made in token.decisions if made.state_id == state.state_id), None)
    return {
        "state_id": state.state_id,
        "node_id": state.node_id,
        "node_type": node.node_type if node else None,
        "plugin": node.plugin_name if node else None,
        "step_index": state.step_index,
        "attempt": state.attempt,
        "status": state.status,
        "started_at": moment(state.started_at),
        "completed_at": moment(state.completed_at),
        "duration_ms": state.duration_ms,
        "input_hash": state.input_hash,
        "output_hash": state.output_hash,
        "changes": _changes(state.changes),
        "decision": None if decision is None else _decision(decision),
        "calls": [_call(call) for call in token.calls if call.state_id == state.state_id],
    }


def _changes(changes: Changes | None) -> dict[str, Any] | None:
    if changes is None:
        return None
    return {
        "added": _data(changes.added),
        "changed": {
            name: {"from": plain(old), "to": plain(new)} for name, (old, new) in changes.changed.items()
        },
        "removed": _data(changes.removed),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "routing_group_id": decision.routing_group_id,
        "mode": decision.mode,
        "reason": plain(decision.reason),
        "destinations": [
            {
                "to": branch.event.to_node_id,
                "label": branch.event.label,
                "mode": branch.event.mode,
                "edge_id": branch.event.edge_id,
                "token_id": branch.token_id,
                "ended": [
                    {"token_id": end.token_id, "outcome": end.outcome, "sink": end.sink_name}
                    for end in branch.ends
                ],
            }
            for branch in decision.branches
        ],
    }


def _error(error: ErrorRecord) -> dict[str, Any]:
    return {
        "state_id": error.state_id,
        "node_id": error.node_id,
        "kind": error.kind,
        "reason": plain(error.reason),
        "destination": error.destination,
        "created_at": moment(error.created_at),
    }


def _call(call: CallRecord) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "call_type": call.call_type,
        "status": call.status,
        "attempt": call.attempt,
        "provider": call.provider,
        "operation": call.operation,
        "latency_ms": call.latency_ms,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "cost": call.cost,
        "request_hash": call.request_hash,
        "response_hash": call.response_hash,
        "error": call.error,
        "created_at": moment(call.created_at),
        "cached_from": call.cached_from,
    }


def _data(data: Mapping[str, Any] | None) -> Any:
    return None if data is None else {name: plain(value) for name, value in data.items()}
