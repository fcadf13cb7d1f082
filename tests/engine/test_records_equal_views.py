"""What the engine wrote in bulk reads like records that were written out one by one."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select

from elspeth.api.run import run
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.reading.lineage import NodeStateRecord, TokenLineage
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart

PIPELINE = """
source:
  plugin: csv
  options:
    path: orders.csv
    schema: {mode: fixed, fields: ["id: int", "amount: float", "parts: int", "note: str"]}
transforms:
  - {name: tidy, plugin: field_mapper, options: {mapping: {amount: price}}, on_error: failures}
  - name: share
    plugin: value_transform
    options: {operations: [{target: each, expression: "row['price'] / row['parts']"}]}
    on_error: failures
  - {name: lines, plugin: line_explode, options: {source_field: note}, on_error: failures}
gates:
  - name: size
    condition: >-
      'huge' if row['price'] > 500 else 'large' if row['price'] > 100
      else 'none' if row['price'] < 0 else 'small'
    routes: {huge: [review, again], large: again, small: approved, none: discard}
  - name: second
    input: again
    condition: "row['parts'] > 1"
    routes: {"true": fork, "false": approved}
    fork_to: [archive, review]
sinks:
  review: {plugin: json, options: {path: review.jsonl}}
  archive: {plugin: json, options: {path: archive.jsonl}}
  approved: {plugin: csv, options: {path: approved.csv}}
  failures: {plugin: json, options: {path: failures.jsonl}}
"""
ORDERS = """id,amount,parts,note
1,12.5,1,plain
2,200,1,"one
two"
3,300,4,plain
4,900,1,"one
two
three"
5,1000,3,plain
6,many,1,plain
7,10,0,plain
8,-5,2,plain
9,12.5,2,plain
"""
VIEWS = (
    schema.rows_table, schema.tokens_table, schema.token_parents_table, schema.token_outcomes_table,
    schema.node_states_table, schema.routing_events_table, schema.validation_errors_table,
    schema.transform_errors_table,
)  # fmt: skip


class Again:
    """Records a run a second time, by single calls, from what is read of the first."""

    def __init__(self, db: LandscapeDB, run_id: str, new_id: str) -> None:
        self.reader, self.recorder = LandscapeReader(db), LandscapeRecorder(db)
        self.run_id, self.new_id = run_id, new_id
        self.recorder.begin_run(RunStart(new_id, {}, "h"))
        for node in self.reader.nodes(run_id):
            self.recorder.register_node(new_id, node.node_id, node.node_type, node.plugin_name)
        self.edges = {
            edge.edge_id: self.recorder.register_edge(
                new_id, edge.from_node_id, edge.to_node_id, edge.label, edge.default_mode
            )
            for edge in self.reader.edges(run_id)
        }

    def row(self, index: int) -> None:
        lineage = self.reader.row_lineage(self.run_id, index)
        assert lineage.source_node_id is not None
        assert lineage.source_data is not None
        row = self.recorder.create_row(
            self.new_id, lineage.source_node_id, index, lineage.source_data, at=lineage.created_at
        )
        self.ids = {lineage.tokens[0].token_id: row.token_id}
        for token in sorted(lineage.tokens, key=lambda token: token.token_no):
            self.token(token, self.ids[token.token_id])

    def token(self, token: TokenLineage, mine: str) -> None:
        for state in token.states:
            self.state(token, state, mine)
        if token.children:
            self.split(token, mine)
        elif token.sink_name is not None:
            self.recorder.record_arrival(mine, token.sink_name, at=token.ended_at)
        else:
            self.recorder.record_discard(mine, at=token.ended_at)

    def state(self, token: TokenLineage, state: NodeStateRecord, mine: str) -> None:
        errors = [error for error in token.errors if error.state_id == state.state_id]
        end = StateEnd(dict(state.output_data)) if state.output_data is not None else StateEnd()
        if errors:
            end = StateEnd(error=errors[0].reason, destination=errors[0].destination, kind=errors[0].kind)
        state_id = self.recorder.record_node_state(
            mine,
            StateStart(state.node_id, None, state.step_index, state.attempt),
            end,
            started_at=state.started_at,
            completed_at=state.completed_at,
        )
        events = [event for event in token.events if event.state_id == state.state_id]
        if events:
            edges = [self.edges[event.edge_id] for event in events]
            self.recorder.record_routing_events(state_id, edges, events[0].mode, events[0].reason)

    def split(self, token: TokenLineage, mine: str) -> None:
        children = sorted(token.children, key=lambda child: child.token_no)
        if token.outcome == "FORKED":
            made = self.recorder.fork_token(
                mine, [child.branch_name or "" for child in children], at=token.ended_at
            )
        else:
            rows = [dict(child.start_data or {}) for child in children]
            made = self.recorder.expand_token(mine, rows, at=token.ended_at)
        self.ids |= {child.token_id: new.token_id for child, new in zip(children, made, strict=True)}

    def compare(self, table: Table) -> tuple[list[Any], list[Any]]:
        with self.reader._db.reading() as connection:
            key = "run_id" if "run_id" in table.columns else "token_id"
            found = connection.execute(select(table)).mappings().all()
        first = [self.same(row) for row in found if str(row[key]).startswith(self.run_id)]
        second = [dict(row) for row in found if str(row[key]).startswith(self.new_id)]
        return sorted(first, key=repr), sorted(second, key=repr)

    def same(self, row: Any) -> dict[str, Any]:
        """A record of the first run with the ids that it has in the second."""
        values = {name: self.edges.get(value, value) for name, value in row.items()}
        return {
            name: value.replace(self.run_id, self.new_id) if isinstance(value, str) else value
            for name, value in values.items()
        }


def as_text(row: dict[str, Any]) -> str:
    """A record without its instants."""
    return repr({name: value for name, value in row.items() if not isinstance(value, datetime)})


@pytest.fixture
def again(landscape_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text(ORDERS, encoding="utf-8")
    Path("pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    result = run("pipeline.yaml", database=landscape_url)
    db = LandscapeDB.from_url(landscape_url)
    made = Again(db, result.run_id, "written-again")
    for index in range(result.rows.read):
        made.row(index)
    yield made
    db.close()


def test_every_view_gives_the_same_records(again: Again) -> None:
    for table in VIEWS:
        bulk, single = again.compare(table)
        assert [*map(as_text, bulk)] == [*map(as_text, single)], table.name
        for one, other in zip(bulk, single, strict=True):
            apart = [one[name] - other[name] for name in one if isinstance(one[name], datetime)]
            # The engine cuts nanoseconds to microseconds at a token's birth and at each distance from it;
            # an error's time is that of its being noted, which is not before the step's end.
            assert all(distance >= timedelta(microseconds=-1) for distance in apart), (one, other)
            if "error_id" not in one:
                assert all(distance <= timedelta(microseconds=1) for distance in apart), (one, other)
        assert bulk, f"{table.name} is empty: this test proves nothing about it"


def test_the_reader_tells_the_same_story(again: Again) -> None:
    reader = again.reader
    assert reader.counts(again.run_id) == reader.counts(again.new_id)
    states = set(reader.counts(again.run_id).outcomes)
    assert states == {"COMPLETED", "ROUTED", "FORKED", "EXPANDED", "FAILED", "QUARANTINED", "DISCARDED"}
    for index in range(9):
        first, second = (reader.row_lineage(run_id, index) for run_id in (again.run_id, again.new_id))
        assert first.source_data == second.source_data
        for one, other in zip(first.tokens, second.tokens, strict=True):
            assert [(s.input_data, s.output_data, s.changes) for s in one.states] == [
                (s.input_data, s.output_data, s.changes) for s in other.states
            ]
            assert (one.outcome, one.sink_name, one.branch_name) == (
                other.outcome, other.sink_name, other.branch_name)  # fmt: skip
