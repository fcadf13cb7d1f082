"""OpenLineage run events (https://openlineage.io/spec/): START, RUNNING, and COMPLETE, FAIL or ABORT."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from elspeth.contracts.enums import RunStatus
from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.export.columns import Fields, Origin
from elspeth.core.landscape.records import ArtifactRecord, NodeRecord, RunCounts, RunRecord, by_sink
from elspeth.core.secrets import Redactor

PRODUCER = "urn:elspeth:openlineage"
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_CUSTOM = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunFacet"
_VERSIONS = {
    "ParentRunFacet": "1-0-1", "ErrorMessageRunFacet": "1-0-1", "ProcessingEngineRunFacet": "1-1-1",
    "JobTypeJobFacet": "2-0-3", "SchemaDatasetFacet": "1-1-1", "ColumnLineageDatasetFacet": "1-2-0",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
}  # fmt: skip
_ENDINGS = {RunStatus.FAILED: "FAIL", RunStatus.INTERRUPTED: "ABORT"}
_TIMEOUT_S = 10
NAMESPACE_VARIABLE = "OPENLINEAGE_NAMESPACE"
PARENT_VARIABLE = "OPENLINEAGE_PARENT_ID"
KEY_VARIABLE = "OPENLINEAGE_API_KEY"

Json = dict[str, Any]


class RunStory:
    """What the events of a run are made of."""

    def __init__(
        self,
        run: RunRecord,
        nodes: Sequence[NodeRecord],
        artifacts: Sequence[ArtifactRecord],
        counts: RunCounts,
        columns: Mapping[str, Fields],
    ) -> None:
        self.run, self.counts, self.columns = run, counts, columns
        self.sources = [node for node in nodes if node.node_type == "source"]
        self.sinks = [
            node for node in nodes if node.node_type == "sink" and node.plugin_name not in ("discard", "null")
        ]
        self.artifacts = by_sink(artifacts)
        self.datasets = {
            node.node_id: dataset(run, node, self.artifacts.get(node.node_id))
            for node in (*self.sources, *self.sinks)
        }
        self.types = {(node.node_id, name): kind for node in self.sources for name, kind in _types(node)}


def run_events(story: RunStory, environ: Mapping[str, str]) -> list[Json]:
    """The START event of a run and, once it is over, the one that says how it ended.

    ``OPENLINEAGE_NAMESPACE`` names the job's namespace (default ``elspeth``),
    ``OPENLINEAGE_PARENT_ID`` (``namespace/job/run uuid``) the run that started this one.
    """
    run = story.run
    inputs = [_input(story, node) for node in story.sources]
    events = [event_under_way(story, environ, "START", run.started_at)]
    if run.completed_at is not None:
        kind = _ENDINGS.get(RunStatus(run.status), "COMPLETE")
        outputs = [_output(story, sink) for sink in story.sinks if _wrote(story, sink)]
        end = _event(story, environ, kind, run.completed_at)
        events.append({**end, "inputs": inputs, "outputs": outputs})
    return events


def event_under_way(story: RunStory, environ: Mapping[str, str], kind: str, now: datetime) -> Json:
    """The event of a run that begins (START; its time is that of the run) or goes on (RUNNING)."""
    event = _event(story, environ, kind, story.run.started_at if kind == "START" else now)
    inputs = [_input(story, node) for node in story.sources]
    return {**event, "inputs": inputs, "outputs": [story.datasets[sink.node_id] for sink in story.sinks]}


def run_uuid(run_id: str) -> str:
    """The UUID by which OpenLineage knows a run: version 5 of its id, so that it is the same everywhere."""
    return str(uuid5(NAMESPACE_URL, f"urn:elspeth:run:{run_id}"))


def dataset(run: RunRecord, node: NodeRecord, artifact: ArtifactRecord | None = None) -> Json:
    """A source's or sink's data by OpenLineage's naming rules: files by path, tables by database."""
    options = orjson.loads(node.config_json).get("options") or {}
    path, url, table = options.get("path"), options.get("url"), options.get("table")
    if isinstance(url, str) and "://" in url:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
        name = ".".join(part for part in (parts.path.strip("/"), table) if part) or node.node_id
        return {"namespace": f"{parts.scheme.partition('+')[0]}://{host}", "name": name}
    if artifact is not None and "://" not in artifact.path_or_uri:
        path = artifact.path_or_uri
    if isinstance(path, str):
        return {"namespace": "file", "name": str(Path(path).absolute())}
    return {"namespace": "elspeth", "name": f"{_job_name(run)}.{node.node_id}"}


def is_endpoint(target: str) -> bool:
    """Whether events go over HTTP rather than to a file."""
    return target.startswith(("http://", "https://"))


def send(endpoint: str, events: Sequence[Json], environ: Mapping[str, str]) -> None:
    """POST events one by one; ``OPENLINEAGE_API_KEY`` is sent as a bearer token if it is set.

    Each has ten seconds. Raises LandscapeError, without the endpoint's credentials, at the first failure.
    """
    shown = Redactor(None).text(endpoint)
    url, headers = _without_credentials(endpoint)
    if environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {environ[KEY_VARIABLE]}"
    for event in events:
        request = Request(url, data=orjson.dumps(event), headers=headers, method="POST")
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:
                answer.read()
        except HTTPError as error:
            error.close()
            raise LandscapeError(f"{shown} refused an event: {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            cause = Redactor(None).text(str(getattr(error, "reason", error)))
            raise LandscapeError(f"no event could be sent to {shown}: {cause}") from None


def _without_credentials(endpoint: str) -> tuple[str, dict[str, str]]:
    """The URL to call, and the headers: what the URL says of user and password goes into one."""
    headers = {"Content-Type": "application/json"}
    parts = urlsplit(endpoint)
    user, at, host = parts.netloc.rpartition("@")
    if at:
        headers["Authorization"] = f"Basic {b64encode(unquote(user).encode()).decode()}"
    return parts._replace(netloc=host).geturl(), headers


def _event(story: RunStory, environ: Mapping[str, str], kind: str, time: datetime) -> Json:
    run = story.run
    facets: Json = {
        "processing_engine": _facet(
            "ProcessingEngineRunFacet", name="elspeth", version=run.elspeth_version or "unknown"
        ),
        "elspeth": {
            "_producer": PRODUCER,
            "_schemaURL": _CUSTOM,
            "runId": run.run_id,
            "configHash": run.config_hash,
            "runMode": run.run_mode,
        },
    }
    parent = _parent(environ)
    if parent is not None:
        facets["parent"] = parent
    if kind == "FAIL":
        facets["errorMessage"] = _facet(
            "ErrorMessageRunFacet", message=run.error or "the run failed", programmingLanguage="Python"
        )
    job = _facet("JobTypeJobFacet", processingType="BATCH", integration="ELSPETH", jobType="PIPELINE")
    return {
        "eventType": kind,
        "eventTime": time.isoformat(timespec="microseconds"),
        "producer": PRODUCER,
        "schemaURL": _EVENT,
        "run": {"runId": run_uuid(run.run_id), "facets": facets},
        "job": {
            "namespace": environ.get(NAMESPACE_VARIABLE) or "elspeth",
            "name": _job_name(run),
            "facets": {"jobType": job},
        },
    }


def _parent(environ: Mapping[str, str]) -> Json | None:
    given = environ.get(PARENT_VARIABLE, "")
    namespace, _, rest = given.partition("/")
    job, _, run_id = rest.rpartition("/")
    try:
        run = str(UUID(run_id))
    except ValueError:
        return None
    return _facet("ParentRunFacet", run={"runId": run}, job={"namespace": namespace, "name": job})


def _input(story: RunStory, node: NodeRecord) -> Json:
    known = story.columns.get(node.node_id, Fields()).fields
    names = list(dict.fromkeys([*(name for name, _ in _types(node)), *sorted(known)]))
    return {
        **story.datasets[node.node_id],
        "facets": _schema(names, lambda n: story.types.get((node.node_id, n))),
    }


def _output(story: RunStory, sink: NodeRecord) -> Json:
    found = story.columns.get(sink.node_id, Fields())
    facets = _schema(sorted(found.fields), lambda name: _type_behind(story, found, name))
    facets["columnLineage"] = _facet(
        "ColumnLineageDatasetFacet",
        fields={
            name: {
                "inputFields": [_input_field(story, o, "DIRECT", how) for o, how in sorted(origins.items())]
            }
            for name, origins in sorted(found.fields.items())
        },
        dataset=[_input_field(story, origin, "INDIRECT", "FILTER") for origin in sorted(found.filters)],
    )
    artifact = story.artifacts.get(sink.node_id)
    statistics: Json = {"rowCount": artifact.rows if artifact else story.counts.sinks.get(sink.node_id, 0)}
    if artifact is not None and artifact.size_bytes is not None:
        statistics["size"] = artifact.size_bytes
    measured = _facet("OutputStatisticsOutputDatasetFacet", **statistics)
    return {
        **story.datasets[sink.node_id],
        "facets": facets,
        "outputFacets": {"outputStatistics": measured},
    }


def _wrote(story: RunStory, sink: NodeRecord) -> bool:
    return sink.node_id in story.artifacts or bool(story.counts.sinks.get(sink.node_id))


def _input_field(story: RunStory, origin: Origin, kind: str, subtype: str) -> Json:
    node_id, name = origin
    return {
        **story.datasets[node_id],
        "field": name,
        "transformations": [{"type": kind, "subtype": subtype, "description": "", "masking": False}],
    }


def _type_behind(story: RunStory, found: Fields, name: str) -> str | None:
    """A field that came through unchanged has its source's type; of others the record does not tell."""
    kinds = {
        story.types.get(origin) if how == "IDENTITY" else None for origin, how in found.fields[name].items()
    }
    return kinds.pop() if len(kinds) == 1 else None


def _schema(names: Sequence[str], kind_of: Any) -> Json:
    fields = []
    for name in names:
        kind = kind_of(name)
        fields.append({"name": name} if kind is None else {"name": name, "type": kind})
    return {"schema": _facet("SchemaDatasetFacet", fields=fields)}


def _types(node: NodeRecord) -> list[tuple[str, str]]:
    """The fields that a source found, or was told of, with their types."""
    if node.schema_json is not None:
        given = orjson.loads(node.schema_json).get("fields")
    else:
        schema = (orjson.loads(node.config_json).get("options") or {}).get("schema")
        given = schema.get("fields") if isinstance(schema, dict) else None
    pairs = (str(item).partition(":") for item in given or () if isinstance(item, str))
    return [(name.strip(), kind.strip().rstrip("?")) for name, _, kind in pairs]


def _facet(facet: str, /, **content: Any) -> Json:
    url = f"{_SPEC}/facets/{_VERSIONS[facet]}/{facet}.json#/$defs/{facet}"
    return {"_producer": PRODUCER, "_schemaURL": url, **content}


def _job_name(run: RunRecord) -> str:
    return run.pipeline or "pipeline"
