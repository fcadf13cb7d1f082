"""The views over traces and paths read as records that were written out one by one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, select

from elspeth import run
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import EdgeStart, LandscapeRecorder, RunStart
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.engine.token_manager import TokenManager

VIEWS = (
    schema.rows_table, schema.tokens_table, schema.token_parents_table, schema.token_outcomes_table,
    schema.node_states_table, schema.routing_events_table, schema.validation_errors_table,
    schema.transform_errors_table,
)  # fmt: skip
FAILURES = {"on_error", "on_validation_failure", "on_write_failure"}
TIMES = {"created_at", "recorded_at", "started_at", "completed_at", "duration_ms"}


class Replay:
    """Writes the story of an interpreter down, record by record, on the graph of an engine's run."""

    def __init__(self, db: LandscapeDB, engine_run: str, pipeline: Any) -> None:
        self.run_id = f"again-{engine_run}"
        self.recorder = LandscapeRecorder(db)
        self.tokens = TokenManager(self.recorder)
        self.conditions = {gate["name"]: gate["condition"] for gate in pipeline["gates"]}
        self.edges: dict[tuple[str, str], list[tuple[str, str]]] = {}
        starts = []
        for number, edge in enumerate(self._edges(db, engine_run)):
            edge_id = f"{self.run_id}-e{number}"
            ends = (edge.from_node_id, edge.to_node_id, edge.label, edge.default_mode)
            starts.append(EdgeStart(edge_id, *ends))
            self.edges.setdefault((edge.from_node_id, edge.label), []).append((edge_id, edge.to_node_id))
        self.recorder.begin_run(RunStart(self.run_id, {}, "h"), (), starts)
        for node in sorted(_all(db, schema.nodes_table, engine_run), key=lambda n: n.sequence_in_pipeline):
            self.recorder.register_node(self.run_id, node.node_id, node.node_type, node.plugin_name)
        # What an error says is the plugin's business; the replay takes the engine's word for it.
        errors = [table for table in VIEWS if table.name.endswith("_errors")]
        self.reasons = {
            (error.token_id.replace(engine_run, self.run_id), error.node_id): json.loads(error.reason)
            for table in errors
            for error in _all(db, table, engine_run)
        }

    def _edges(self, db: LandscapeDB, engine_run: str) -> Any:
        edges = _all(db, schema.edges_table, engine_run)
        return sorted(edges, key=lambda edge: int(edge.edge_id.removeprefix(f"{engine_run}-e")))

    def write(self, index: int, told: Any) -> None:
        row = self.recorder.create_row(self.run_id, told.steps[0][0], index, told.row)
        self._token(self.recorder.create_token(row.row_id).token_id, told, None)

    def _token(self, token_id: str, told: Any, came_by: str | None) -> None:
        decisions = {gate: (label, ways) for gate, label, ways in told.decisions}
        edge = came_by
        for node, status, before, after in told.steps:
            if status == "failed":
                edge = self._fail(token_id, node, before)
            elif node == told.sink:
                self.recorder.record_node_state(token_id, StateStart(node))
                self.recorder.record_arrival(token_id, node, edge_id=edge)
            elif node in decisions:
                state = self.recorder.record_node_state(token_id, StateStart(node), StateEnd())
                edge = self._decide(token_id, told, state, node, *decisions[node])
            else:
                self.recorder.record_node_state(token_id, StateStart(node), StateEnd(after))
                edge = self.edges[node, "on_success"][0][0]
        if told.outcome == "DISCARDED":
            self.recorder.record_discard(token_id)
        if told.outcome == "EXPANDED":
            made = self.recorder.expand_token(token_id, [child.row for child in told.children])
            for child, wanted in zip(made, told.children, strict=True):
                self._token(child.token_id, wanted, edge)

    def _fail(self, token_id: str, node: str, before: Any) -> str:
        (label,) = (name for at, name in self.edges if at == node and name in FAILURES)
        ((edge, to),) = self.edges[node, label]
        kind = "validation" if label == "on_validation_failure" else "transform"
        end = StateEnd(error=self.reasons[token_id, node], destination=to, kind=kind)
        state = self.recorder.record_node_state(token_id, StateStart(node), end)
        self.recorder.record_routing_events(state, [edge], "divert")
        return edge

    def _decide(self, token_id: str, told: Any, state: str, gate: str, label: str, ways: Any) -> str | None:
        edges = [edge for edge, _ in self.edges[gate, label]]
        if ways[1:] == ("continue",):
            edges.append(self.edges[gate, "continue"][0][0])
        reason = {"condition": self.conditions[gate], "result": label}
        copied = told.outcome == "FORKED" and gate == told.decisions[-1][0]
        self.recorder.record_routing_events(state, edges, "copy" if copied else "move", reason)
        if not copied:
            return edges[0]
        made = self.tokens.fork_token(token_id, ways)
        for child, wanted, edge in zip(made, told.children, edges, strict=True):
            self._token(child.token_id, wanted, edge)
        return None


def _content(db: LandscapeDB, table: Table, run_id: str) -> list[Any]:
    """What a view holds of a run, with its id taken out of all other ids, and without times."""
    columns = [column for column in table.columns if column.name not in TIMES]
    mine = table.c.token_id if "run_id" not in table.c else table.c.run_id
    query = select(*columns).where((mine == run_id) | mine.like(f"{run_id}-%"))
    with db.engine.connect() as connection:
        found = connection.execute(query).all()
    known = [[_without(run_id, value) for value in row] for row in found]
    return sorted(known, key=repr)


def _without(run_id: str, value: Any) -> Any:
    return value.replace(run_id, "RUN") if isinstance(value, str) else value


def _all(db: LandscapeDB, table: Table, run_id: str) -> Any:
    with db.engine.connect() as connection:
        return connection.execute(select(table).where(table.c.run_id == run_id)).all()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_views_equal_records(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, trial: Any
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else ""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(pipeline=trial.pipelines, data=st.data())
    def compare(pipeline: Any, data: st.DataObject) -> None:
        inputs = {name: data.draw(trial.rows) for name in pipeline["sources"]}
        home: Path = tmp_path_factory.mktemp("views")
        place = trial.bench(home, pipeline, inputs, url)
        run_id = run(place.file).run_id
        told = trial.reference(pipeline).run(inputs)
        db = LandscapeDB.from_url(place.url, create=False)
        try:
            replay = Replay(db, run_id, pipeline)
            for index, row in enumerate(told.rows):
                replay.write(index, row)
            for table in VIEWS:
                assert _content(db, table, replay.run_id) == _content(db, table, run_id), table.name
            assert len(_content(db, schema.rows_table, run_id)) == len(told.rows)
        finally:
            db.close()

    compare()
