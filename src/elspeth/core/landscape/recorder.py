"""Writing what a run is and how it ended; the rows' own records go through `writer`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from elspeth.contracts.enums import RunMode, RunStatus
from elspeth.contracts.plugins import Artifact
from elspeth.core.clock import Clock
from elspeth.core.landscape.calls.log import CallRecording
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import Lease, give_back, renew, take_lease
from elspeth.core.landscape.stepwise.batch_recording import BatchRecording
from elspeth.core.landscape.stepwise.state_recording import StateRecording
from elspeth.core.landscape.stepwise.token_recording import TokenRecording
from elspeth.core.landscape.tables import (
    artifacts_table,
    edges_table,
    nodes_table,
    run_events_table,
    runs_table,
)
from elspeth.core.landscape.variants.assignments import AssignmentRecording


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known of a run before its first row. ``settings`` must hold no secrets."""

    run_id: str
    settings: Mapping[str, Any]
    config_hash: str
    pipeline: str = ""
    run_mode: RunMode | str = RunMode.LIVE
    elspeth_version: str = ""


@dataclass(frozen=True, slots=True)
class NodeStart:
    """One node as it is put on record; ``config`` must hold no secrets. ``input`` tells a source's input."""

    node_id: str
    plugin_name: str
    node_type: str
    plugin_version: str
    determinism: str
    config_hash: str
    config: Mapping[str, Any]
    sequence: int
    schema: Mapping[str, Any] | None = None
    input: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EdgeStart:
    """One edge as it is put on record."""

    edge_id: str
    from_node_id: str
    to_node_id: str
    label: str
    default_mode: str


class LandscapeRecorder(TokenRecording, StateRecording, BatchRecording, AssignmentRecording, CallRecording):
    """Writes runs, nodes, edges, artifacts, and single records of all else. Each call is one transaction."""

    def __init__(self, db: LandscapeDB, clock: Clock | None = None) -> None:
        self.db = db
        self.clock = clock or Clock()

    def begin_run(
        self, start: RunStart, nodes: Iterable[NodeStart] = (), edges: Iterable[EdgeStart] = ()
    ) -> int:
        """Put a run with its graph on record as ``running``; returns its number in this database."""
        with self.db.writing() as connection:
            key = connection.execute(
                insert(runs_table).values(
                    run_id=start.run_id,
                    started_at=self.clock.now(),
                    status=RunStatus.RUNNING,
                    config_hash=start.config_hash,
                    settings_json=_text(start.settings),
                    run_mode=start.run_mode,
                    pipeline=start.pipeline,
                    elspeth_version=start.elspeth_version,
                )
            ).inserted_primary_key
            assert key is not None
            node_rows = [
                {
                    "run_id": start.run_id,
                    "node_id": node.node_id,
                    "plugin_name": node.plugin_name,
                    "node_type": node.node_type,
                    "plugin_version": node.plugin_version,
                    "determinism": node.determinism,
                    "config_hash": node.config_hash,
                    "config_json": _text(node.config),
                    "sequence_in_pipeline": node.sequence,
                    "schema_json": None if node.schema is None else _text(node.schema),
                    "input_json": None if node.input is None else _text(node.input),
                }
                for node in nodes
            ]
            if node_rows:
                connection.execute(insert(nodes_table), node_rows)
            edge_rows = [
                {
                    "edge_id": edge.edge_id,
                    "run_id": start.run_id,
                    "from_node_id": edge.from_node_id,
                    "to_node_id": edge.to_node_id,
                    "label": edge.label,
                    "default_mode": edge.default_mode,
                }
                for edge in edges
            ]
            if edge_rows:
                connection.execute(insert(edges_table), edge_rows)
        return int(key[0])

    def record_schema(self, run_id: str, node_id: str, schema: Mapping[str, Any]) -> None:
        """Put on record what a source found its columns to be."""
        where = (nodes_table.c.run_id == run_id) & (nodes_table.c.node_id == node_id)
        with self.db.writing() as connection:
            connection.execute(update(nodes_table).where(where).values(schema_json=_text(schema)))

    def hold_run(self, run_no: int) -> Lease:
        """Become the one process that may write to a run.

        Raises RunHeldError if another is alive, LandscapeError if what the run would go on from is not
        what its last commit left; then nothing has changed.
        """
        with self.db.writing() as connection:
            lease = take_lease(connection, run_no, self.clock.now())
            self.db.proof.must_stand(connection, run_no)
        return lease

    def keep_run(self, lease: Lease) -> None:
        """Show that the owner is alive. Raises FencedError if another process has taken over the run."""
        with self.db.writing() as connection:
            renew(connection, lease, self.clock.now())

    def reopen_run(self, run_no: int, kind: str, detail: Mapping[str, Any]) -> None:
        """Put on record that a run goes on that had ended without being complete, and why it may."""
        with self.db.writing() as connection:
            connection.execute(
                update(runs_table)
                .where(runs_table.c.run_no == run_no)
                .values(status=RunStatus.RUNNING, completed_at=None, error=None)
            )
            note_event(connection, run_no, kind, detail, self.clock.now())

    def note_run(self, run_no: int, kind: str, detail: Mapping[str, Any]) -> None:
        """Add to a run's history."""
        with self.db.writing() as connection:
            note_event(connection, run_no, kind, detail, self.clock.now())

    def finish_run(
        self,
        run_id: str,
        status: RunStatus,
        artifacts: Sequence[tuple[str, Artifact]] = (),
        *,
        error: str | None = None,
        lease: Lease | None = None,
    ) -> datetime:
        """Put down how a run ended, with what its sinks left behind, in one transaction.

        With a ``lease`` only while that holds (else FencedError), and it is given back.
        """
        now = self.clock.now()
        error = None if error is None else self.db.redactor.text(error)
        with self.db.writing() as connection:
            if lease is not None:
                give_back(connection, lease, now)
            connection.execute(delete(artifacts_table).where(artifacts_table.c.run_id == run_id))
            parts = [(sink, one) for sink, whole in artifacts for one in whole.parts or (whole,)]
            for number, (sink, artifact) in enumerate(parts):
                connection.execute(
                    insert(artifacts_table).values(
                        artifact_id=f"{run_id}-a{number}",
                        run_id=run_id,
                        sink_node_id=sink,
                        path_or_uri=artifact.path_or_uri,
                        content_hash=artifact.content_hash,
                        size_bytes=artifact.size_bytes,
                        rows=artifact.rows,
                        created_at=now,
                    )
                )
            connection.execute(
                update(runs_table)
                .where(runs_table.c.run_id == run_id)
                .values(status=status, completed_at=now, error=error)
            )
            head = self.db.proof.close(connection, run_id)
        self.db.proof.publish(head)
        return now


def note_event(
    connection: Connection, run_no: int, kind: str, detail: Mapping[str, Any], now: datetime
) -> None:
    """Add to a run's history, in the connection's transaction."""
    table = run_events_table
    last = connection.execute(select(func.max(table.c.ordinal)).where(table.c.run_no == run_no)).scalar()
    ordinal = 0 if last is None else last + 1
    connection.execute(
        insert(table).values(run_no=run_no, ordinal=ordinal, kind=kind, detail=_text(detail), created_at=now)
    )


def _text(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
