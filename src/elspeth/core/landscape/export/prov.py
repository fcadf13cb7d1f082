"""W3C PROV-JSON (https://www.w3.org/submissions/prov-json/): a run as a whole, or all of one row.

A row at one moment is an entity, a node state an activity, a plugin a software agent, the pipeline
a plan. A sink's artifact is a collection that has rows as members.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from elspeth.core.canonical import dump
from elspeth.core.landscape.reading.lineage import RowLineage, TokenLineage
from elspeth.core.landscape.records import ArtifactRecord, EdgeRecord, NodeRecord, RunRecord, by_sink

NAMESPACE = "urn:elspeth:"
XSD = "http://www.w3.org/2001/XMLSchema#"
_KINDS = ("run", "config", "agent", "source", "node", "artifact", "state", "row", "token")
Attributes = dict[str, Any]


class _Document:
    def __init__(self) -> None:
        self.content: dict[str, dict[str, Attributes]] = {}
        self._relations = 0

    def put(self, section: str, name: str, attributes: Attributes) -> str:
        self.content.setdefault(section, {})[name] = {
            key: value for key, value in attributes.items() if value is not None
        }
        return name

    def relate(self, section: str, **ends: str | None) -> None:
        self._relations += 1
        named = {f"prov:{key}": value for key, value in ends.items()}
        self.put(section, f"_:r{self._relations}", named)

    def to_dict(self) -> dict[str, Any]:
        prefix = {"elspeth": NAMESPACE, "xsd": XSD} | {kind: f"{NAMESPACE}{kind}:" for kind in _KINDS}
        return {"prefix": prefix, **self.content}


class _Base:
    """What every document has: the run, its plan, and the plugins as agents."""

    def __init__(self, run: RunRecord, nodes: Mapping[str, NodeRecord]) -> None:
        self.document = _Document()
        self.run, self.nodes = run, nodes
        put = self.document.put
        self.activity = put("activity", name("run", run.run_id), {
            "prov:startTime": moment(run.started_at), "prov:endTime": moment(run.completed_at),
            "prov:type": typed("elspeth:Run"), "elspeth:status": run.status, "elspeth:mode": run.run_mode,
        })  # fmt: skip
        self.plan = put("entity", name("config", run.config_hash), {
            "prov:type": typed("prov:Plan"), "elspeth:sha256": run.config_hash,
            "prov:location": run.pipeline or None,
        })  # fmt: skip
        engine = put("agent", name("agent", "elspeth"), {
            "prov:type": typed("prov:SoftwareAgent"), "elspeth:version": run.elspeth_version or None,
        })  # fmt: skip
        self.document.relate("wasAssociatedWith", activity=self.activity, agent=engine, plan=self.plan)

    def agent(self, node_id: str) -> str:
        agent = name("agent", f"{self.run.run_id}/{node_id}")
        node = self.nodes.get(node_id)
        return self.document.put("agent", agent, {
            "prov:type": typed("prov:SoftwareAgent"), "elspeth:node": node_id,
            "elspeth:plugin": node.plugin_name if node else None,
            "elspeth:version": node.plugin_version if node else None,
        })  # fmt: skip

    def source(self, node_id: str) -> str:
        node = self.nodes.get(node_id)
        return self.document.put("entity", name("source", f"{self.run.run_id}/{node_id}"), {
            "prov:type": typed("prov:Collection"), "elspeth:node": node_id,
            "prov:location": location(node) if node else None,
        })  # fmt: skip

    def artifact(self, artifact: ArtifactRecord) -> str:
        return self.document.put("entity", name("artifact", artifact.artifact_id), {
            "prov:type": typed("prov:Collection"), "prov:location": artifact.path_or_uri,
            "elspeth:sha256": artifact.content_hash, "elspeth:rows": artifact.rows,
            "elspeth:bytes": artifact.size_bytes,
        })  # fmt: skip


def run_document(
    run: RunRecord,
    nodes: Sequence[NodeRecord],
    edges: Sequence[EdgeRecord],
    artifacts: Sequence[ArtifactRecord],
) -> dict[str, Any]:
    """A run as PROV-JSON: its nodes as activities, sources and artifacts as entities."""
    base = _Base(run, {node.node_id: node for node in nodes})
    document, activities = base.document, {}
    for node in nodes:
        activities[node.node_id] = document.put("activity", name("node", f"{run.run_id}/{node.node_id}"), {
            "prov:type": typed(f"elspeth:{node.node_type}"), "elspeth:plugin": node.plugin_name,
            "prov:startTime": moment(run.started_at), "prov:endTime": moment(run.completed_at),
        })  # fmt: skip
        document.relate(
            "wasAssociatedWith",
            activity=activities[node.node_id],
            agent=base.agent(node.node_id),
            plan=base.plan,
        )
        document.relate("wasInformedBy", informed=activities[node.node_id], informant=base.activity)
        if node.node_type == "source":
            document.relate("used", activity=activities[node.node_id], entity=base.source(node.node_id))
    for edge in edges:
        document.relate(
            "wasInformedBy", informed=activities[edge.to_node_id], informant=activities[edge.from_node_id]
        )
    for artifact in artifacts:
        made, by = base.artifact(artifact), activities[artifact.sink_node_id]
        document.relate("wasGeneratedBy", entity=made, activity=by)
    return document.to_dict()


def row_document(
    run: RunRecord,
    nodes: Sequence[NodeRecord],
    artifacts: Sequence[ArtifactRecord],
    row: RowLineage,
) -> dict[str, Any]:
    """All of one row as PROV-JSON: every token's row before and after every step."""
    story = _RowStory(_Base(run, {node.node_id: node for node in nodes}), by_sink(artifacts))
    for token in sorted(row.tokens, key=lambda token: token.token_no):
        story.token(row, token)
    return story.base.document.to_dict()


class _RowStory:
    def __init__(self, base: _Base, artifacts: Mapping[str, ArtifactRecord]) -> None:
        self.base, self._artifacts = base, artifacts
        self._last: dict[str, str] = {}  # token id → its row as it was at last
        self._maker: dict[str, str] = {}  # token id → the activity that it ended with

    def token(self, row: RowLineage, token: TokenLineage) -> None:
        document, numbers = self.base.document, iter(range(10**9))
        first_hash = token.states[0].input_hash if token.states else row.source_data_hash
        entity = self._row(token, next(numbers), first_hash, token.start_data)
        for before, maker in self._origins(row, token):
            document.relate(
                "wasDerivedFrom",
                generatedEntity=entity,
                usedEntity=before,
                **({"activity": maker} if maker else {}),
            )
        activity = None
        for state in token.states:
            activity = self._state(state)
            document.relate("used", activity=activity, entity=entity)
            if state.output_hash not in (None, state.input_hash):
                after = self._row(token, next(numbers), state.output_hash or "", state.output_data)
                document.relate("wasGeneratedBy", entity=after, activity=activity)
                document.relate("wasDerivedFrom", generatedEntity=after, usedEntity=entity, activity=activity)
                entity = after
        self._last[token.token_id] = entity
        if activity is not None:
            self._maker[token.token_id] = activity
        published = self._artifacts.get(token.sink_name or "")
        if published is not None:
            artifact = self.base.artifact(published)
            document.relate("hadMember", collection=artifact, entity=entity)

    def _origins(self, row: RowLineage, token: TokenLineage) -> Iterator[tuple[str, str | None]]:
        for parent in token.parents:
            outside = None
            if parent not in self._last:
                outside = self.base.document.put(
                    "entity", name("token", parent), {"prov:type": typed("elspeth:Token")}
                )
            yield outside or self._last[parent], self._maker.get(parent)
        if not token.parents and row.source_node_id:
            yield self.base.source(row.source_node_id), None

    def _row(self, token: TokenLineage, number: int, sha256: str, data: Any) -> str:
        return self.base.document.put("entity", name("row", f"{token.token_id}/{number}"), {
            "prov:type": typed("elspeth:Row"), "elspeth:sha256": sha256 or None,
            "prov:value": None if data is None else dump(dict(data)).decode(),
            "elspeth:token": token.token_id,
        })  # fmt: skip

    def _state(self, state: Any) -> str:
        document = self.base.document
        node = self.base.nodes.get(state.node_id)
        activity = document.put("activity", name("state", state.state_id), {
            "prov:startTime": moment(state.started_at), "prov:endTime": moment(state.completed_at),
            "prov:type": typed(f"elspeth:{node.node_type if node else 'node'}"),
            "elspeth:node": state.node_id, "elspeth:attempt": state.attempt, "elspeth:status": state.status,
        })  # fmt: skip
        document.relate(
            "wasAssociatedWith", activity=activity, agent=self.base.agent(state.node_id), plan=self.base.plan
        )
        document.relate("wasInformedBy", informed=activity, informant=self.base.activity)
        return activity


def name(kind: str, local: str) -> str:
    """A qualified name; what must not stand in one is percent-encoded."""
    return f"{kind}:{quote(local, safe='/-._~')}"


def typed(value: str) -> dict[str, str]:
    """A qualified name as a value."""
    return {"$": value, "type": "xsd:QName"}


def moment(time: datetime | None) -> str | None:
    """An xsd:dateTime."""
    return None if time is None else time.isoformat(timespec="microseconds")


def location(node: NodeRecord) -> str | None:
    """Where a source's or sink's data are, if its options say so; secrets were removed on recording."""
    options = orjson.loads(node.config_json).get("options") or {}
    found = options.get("path") or options.get("url")
    return found if isinstance(found, str) else None
