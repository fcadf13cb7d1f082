"""Runs as they stand on record: which there are, and how one of them went."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from elspeth.api.database import landscape_reader
from elspeth.api.explain_json import artifact_dict, moment, run_dict
from elspeth.core.clock import Clock
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.records import (
    ArtifactRecord,
    ErrorGroup,
    NodeRecord,
    NodeTiming,
    RunCounts,
    RunEvent,
    RunRecord,
    by_sink,
)
from elspeth.core.landscape.reproducibility import PurgeRecord, Reproducibility, reproducibility

__all__ = ["ABANDONED", "NodeSummary", "RunSummary", "SinkSummary", "list_runs", "run_dict", "show_run"]


@dataclass(frozen=True, slots=True)
class SinkSummary:
    """What reached a sink. ``artifact`` is None while it has published nothing; ``parts`` are its files."""

    sink: str
    plugin: str
    rows: int
    artifact: ArtifactRecord | None
    parts: tuple[ArtifactRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """How often a node was visited, by status, and how long it took (None if never)."""

    node: NodeRecord
    states: Mapping[str, int]
    timing: NodeTiming | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How one run went. ``errors`` are the most frequent ones, by node and text.

    ``depends_on`` are the runs that it was built upon, by pipeline; ``history`` is what happened to
    it as a whole: when it was resumed (and which changes were accepted), purged, …
    """

    run: RunRecord
    counts: RunCounts
    sinks: tuple[SinkSummary, ...]
    nodes: tuple[NodeSummary, ...]
    errors: tuple[ErrorGroup, ...]
    reproducibility: Reproducibility
    purge: PurgeRecord | None = None
    depends_on: Mapping[str, str] = field(default_factory=dict)
    history: tuple[RunEvent, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values: the shape of ``elspeth runs show --json``."""
        counts = self.counts
        return {
            **run_dict(self.run),
            "rows": {"read": counts.read, "quarantined": counts.quarantined, "failed": counts.failed},
            "open": counts.open,
            "reproducibility": str(self.reproducibility),
            "purged": None if self.purge is None else {"at": moment(self.purge.at), **self.purge.detail},
            "depends_on": dict(self.depends_on),
            "history": [
                {"kind": event.kind, "at": moment(event.at), "detail": dict(event.detail)}
                for event in self.history
            ],
            "outcomes": dict(counts.outcomes),
            "sinks": {item.sink: _sink(item) for item in self.sinks},
            "nodes": [_node(item) for item in self.nodes],
            "errors": [
                {"node_id": group.node_id, "kind": group.kind, "error": group.error, "count": group.count}
                for group in self.errors
            ],
        }


ABANDONED = "abandoned"
"""What `list_runs` says of a run that is on record as running, when its process is gone."""


def list_runs(database: str | None = None, limit: int = 20) -> list[RunRecord]:
    """The newest runs, newest first. Raises as opening the landscape does (`landscape_reader`).

    A run that was killed is on record as running until somebody resumes it: its status here is ``abandoned``.
    """
    with landscape_reader(database) as reader:
        return _as_they_stand(reader, reader.runs(limit))


def _as_they_stand(reader: LandscapeReader, runs: list[RunRecord]) -> list[RunRecord]:
    gone = reader.abandoned(Clock().now())
    return [replace(run, status=ABANDONED) if run.run_no in gone else run for run in runs]


def show_run(run: str = "latest", database: str | None = None) -> RunSummary:
    """How a run went so far; reads each of its traces once. Raises NotFoundError for an unknown run."""
    with landscape_reader(database) as reader:
        (found,) = _as_they_stand(reader, [reader.run(run)])
        counts = reader.counts(found.run_id)
        timings = reader.node_timings(found.run_id)
        parts = reader.artifacts(found.run_id)
        artifacts = by_sink(parts)
        nodes = reader.nodes(found.run_id)
        errors = reader.error_groups(found.run_id)
        purge = reader.purge(found.run_id)
        depends_on = reader.depends_on(found.run_id)
        history = reader.history(found.run_id)
    return RunSummary(
        run=found,
        counts=counts,
        sinks=tuple(
            SinkSummary(
                node.node_id,
                node.plugin_name,
                counts.sinks.get(node.node_id, 0),
                artifacts.get(node.node_id),
                tuple(part for part in parts if part.sink_node_id == node.node_id),
            )
            for node in nodes
            if node.node_type == "sink"
        ),
        nodes=tuple(
            NodeSummary(node, counts.nodes.get(node.node_id, {}), timings.get(node.node_id)) for node in nodes
        ),
        errors=tuple(errors),
        reproducibility=reproducibility(nodes, purge),
        purge=purge,
        depends_on=depends_on,
        history=tuple(history),
    )


def _sink(item: SinkSummary) -> dict[str, Any]:
    published = artifact_dict(item.artifact) or {"path": None, "sha256": None, "bytes": None}
    several = {"parts": [artifact_dict(part) for part in item.parts]} if len(item.parts) > 1 else {}
    return {"plugin": item.plugin, **published, "rows": item.rows, **several}


def _node(item: NodeSummary) -> dict[str, Any]:
    timing = item.timing
    return {
        "node_id": item.node.node_id,
        "node_type": item.node.node_type,
        "plugin": item.node.plugin_name,
        "states": dict(item.states),
        "mean_ms": timing.mean_ms if timing else None,
        "p95_ms": timing.p95_ms if timing else None,
        "sampled": timing.sampled if timing else 0,
    }
