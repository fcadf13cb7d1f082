"""Reading what a run as a whole left on record."""

from difflib import get_close_matches

import orjson
from sqlalchemy import Connection, select

from elspeth.contracts.errors import NotFoundError
from elspeth.core.landscape.records import ArtifactRecord, EdgeRecord, NodeRecord, RunEvent, RunRecord
from elspeth.core.landscape.statements import statement
from elspeth.core.landscape.tables import (
    artifacts_table,
    edges_table,
    nodes_table,
    run_events_table,
    runs_table,
)

LATEST = "latest"
OPERATION = "operation"
"""The ``run_mode`` of what was done to things outside (`operations`), not to rows."""
DEPENDS_ON = "depends_on"
"""The event of a run's history that names the runs which it builds upon, by pipeline."""
_NAMED = 5

# Plain text: compiling these from table objects would take longer than running them.
_NEWEST_FIRST = statement(runs_table, RunRecord, "ORDER BY started_at DESC, run_no DESC LIMIT :limit")
_LATEST = statement(
    runs_table, RunRecord, "WHERE run_mode <> 'operation' ORDER BY started_at DESC, run_no DESC LIMIT 1"
)
_RUN = statement(runs_table, RunRecord, "WHERE run_id = :run_id")
_NODES = statement(nodes_table, NodeRecord, "WHERE run_id = :run_id ORDER BY sequence_in_pipeline, node_id")
_EDGES = statement(edges_table, EdgeRecord, "WHERE run_id = :run_id ORDER BY edge_id")
_ARTIFACTS = statement(
    artifacts_table, ArtifactRecord, "WHERE run_id = :run_id ORDER BY sink_node_id, created_at, path_or_uri"
)


def read_runs(connection: Connection, limit: int) -> list[RunRecord]:
    """The newest runs, newest first."""
    return [RunRecord(**row) for row in connection.execute(_NEWEST_FIRST, {"limit": limit}).mappings()]


def read_run(connection: Connection, run: str) -> RunRecord:
    """The run with this id, or the newest of a pipeline for ``latest``. Raises NotFoundError."""
    if run == LATEST:
        newest = connection.execute(_LATEST).mappings().one_or_none()
        if newest is None and read_runs(connection, 1):
            raise NotFoundError(
                "no run of a pipeline is on record here, only what was done to machines",
                fix="name one by its id: elspeth runs",
            )
        if newest is None:
            raise NotFoundError("no run is on record here", fix="run a pipeline first: elspeth run FILE")
        return RunRecord(**newest)
    row = connection.execute(_RUN, {"run_id": run}).mappings().one_or_none()
    if row is None:
        raise _unknown_run(connection, run)
    return RunRecord(**row)


def read_depends_on(connection: Connection, run_no: int) -> dict[str, str]:
    """The runs that this one was built upon, by pipeline."""
    event = run_events_table.c
    query = select(event.detail).where(event.run_no == run_no, event.kind == DEPENDS_ON)
    found = connection.execute(query).scalar()
    return {} if found is None else dict(orjson.loads(found))


def read_history(connection: Connection, run_no: int) -> list[RunEvent]:
    """What happened to a run as a whole, in order."""
    event = run_events_table.c
    query = select(event.kind, event.created_at, event.detail).where(event.run_no == run_no)
    found = connection.execute(query.order_by(event.ordinal))
    return [RunEvent(kind, at, orjson.loads(detail)) for kind, at, detail in found]


def read_nodes(connection: Connection, run_id: str) -> list[NodeRecord]:
    """The nodes of a run in pipeline order."""
    return [NodeRecord(**row) for row in connection.execute(_NODES, {"run_id": run_id}).mappings()]


def read_edges(connection: Connection, run_id: str) -> list[EdgeRecord]:
    """The edges of a run, by id."""
    return [EdgeRecord(**row) for row in connection.execute(_EDGES, {"run_id": run_id}).mappings()]


def read_artifacts(connection: Connection, run_id: str) -> list[ArtifactRecord]:
    """What a run published, by sink."""
    return [ArtifactRecord(**row) for row in connection.execute(_ARTIFACTS, {"run_id": run_id}).mappings()]


def _unknown_run(connection: Connection, run: str) -> NotFoundError:
    known = [found.run_id for found in read_runs(connection, 200)]
    if not known:
        return NotFoundError(
            f"there is no run {run!r}: no run is on record here",
            fix="run a pipeline first, or name the database: --database URL",
        )
    close = [name for name in known if run and (name.startswith(run) or name.endswith(run))][:_NAMED]
    close = close or get_close_matches(run, known, n=1)
    if close:
        return NotFoundError(f"there is no run {run!r}", fix=f"did you mean {' or '.join(close)}?")
    newest = ", ".join(known[:_NAMED])
    return NotFoundError(f"there is no run {run!r}", fix=f"the newest runs are {newest}; or say `{LATEST}`")
