"""What a run as a whole left on record, as values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from elspeth.contracts.plugins import glob_of


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. ``run_no`` is its key in the database, ``error`` what ended it if it failed."""

    run_no: int
    run_id: str
    started_at: datetime
    completed_at: datetime | None
    status: str
    config_hash: str
    settings_json: str
    run_mode: str
    pipeline: str
    elspeth_version: str
    error: str | None

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to end; None while it runs."""
        return (self.completed_at - self.started_at).total_seconds() if self.completed_at else None


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node of a run's graph.

    ``schema_json`` is what a source inferred, if it did; ``input_json`` what its input was at the start.
    """

    node_id: str
    plugin_name: str
    node_type: str
    plugin_version: str
    determinism: str
    config_hash: str
    config_json: str
    sequence_in_pipeline: int
    schema_json: str | None
    input_json: str | None = None


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """One edge of a run's graph. ``default_mode`` is ``move``, ``copy`` or ``divert``."""

    edge_id: str
    from_node_id: str
    to_node_id: str
    label: str
    default_mode: str


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """What a sink published; ``content_hash`` (SHA-256, hex) and ``size_bytes`` are of the whole of it."""

    artifact_id: str
    sink_node_id: str
    path_or_uri: str
    content_hash: str | None
    size_bytes: int | None
    rows: int
    created_at: datetime


def by_sink(artifacts: Iterable[ArtifactRecord]) -> dict[str, ArtifactRecord]:
    """Sink → what it published. Several things of one sink are told as one, whose path fits them all."""
    found: dict[str, list[ArtifactRecord]] = {}
    for artifact in artifacts:
        found.setdefault(artifact.sink_node_id, []).append(artifact)
    return {sink: parts[0] if len(parts) == 1 else _together(parts) for sink, parts in found.items()}


def _together(parts: Sequence[ArtifactRecord]) -> ArtifactRecord:
    return replace(
        parts[0],
        path_or_uri=glob_of([part.path_or_uri for part in parts]),
        content_hash=None,
        size_bytes=sum(part.size_bytes or 0 for part in parts),
        rows=sum(part.rows for part in parts),
    )


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Why a row went another way. ``kind`` is ``validation`` (at a source) or ``transform`` (elsewhere).

    ``reason`` has at least ``"error"``; ``destination`` is the sink that took the row, or ``discard``.
    """

    error_id: str
    row_id: str
    token_id: str
    state_id: str
    node_id: str
    kind: str
    reason: Mapping[str, Any]
    destination: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened to a run as a whole: ``resumed``, ``purged``, ``export_failed``, …"""

    kind: str
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One external call. ``request``, ``response`` and ``error`` are texts as recorded, None if not kept.

    ``cached_from`` is the call of an earlier run whose answer was taken; then no call was made.
    """

    call_id: str
    state_id: str
    call_index: int
    call_type: str
    status: str
    attempt: int
    provider: str | None
    operation: str | None
    request_hash: str
    response_hash: str | None
    request: str | None
    response: str | None
    error: str | None
    latency_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    created_at: datetime
    cached_from: str | None = None


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How a run's rows and tokens ended, so far.

    ``read`` counts source rows; ``quarantined`` and ``failed`` count tokens with that outcome;
    ``open`` counts tokens still on their way; ``outcomes`` maps terminal state → tokens, ``sinks``
    sink → tokens that ended there, ``nodes`` node → status → states.
    """

    read: int
    quarantined: int
    failed: int
    open: int
    outcomes: Mapping[str, int]
    sinks: Mapping[str, int]
    nodes: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class NodeTiming:
    """Durations of a node's states in milliseconds, over ``sampled`` of them."""

    mean_ms: float
    p95_ms: float
    sampled: int


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one node with one text."""

    node_id: str
    kind: str
    error: str
    count: int


def json_object(text: str | None) -> dict[str, Any]:
    """What a call's request, answer or error holds; empty where it is no JSON object (null, text, purged)."""
    try:
        found = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
