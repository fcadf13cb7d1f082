"""Joins and batches that the engine wrote in bulk read like records that were written one by one."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Table, select

from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.reading.lineage import BatchRecord, RowLineage, TokenLineage
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart

PIPELINE = """
source: {plugin: json, options: {path: $in.jsonl}}
transforms:
  - {name: far, plugin: passthrough, input: a, on_success: far_done}
  - {name: farther, plugin: passthrough, input: far_done, on_success: a_done}
  - name: share
    plugin: value_transform
    input: b
    on_success: b_done
    on_error: failed
    options: {operations: [{target: share, expression: "60 / row['x']"}]}
aggregations:
  - {name: hold, plugin: odd, input: raw, on_success: held, on_error: failed, output_mode: passthrough,
     trigger: {count: 2}}
  - {name: sums, plugin: batch_stats, input: joined, on_success: output, on_error: failed,
     trigger: {count: 2}, options: {value_field: x, group_by: x}}
gates:
  - {name: first, condition: "row['x'] >= 0", routes: {"true": raw, "false": discard}}
  - {name: split, input: held, condition: "True", routes: {"true": fork, "false": discard},
     fork_to: [a, b, c]}
coalesce:
  - {name: join, branches: {a: a_done, b: b_done, c: c}, on_success: joined, on_error: failed,
     policy: quorum, quorum_count: 2}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
"""
ROWS = [{"x": 3}, {"x": -1}, {"x": 0}, {"x": 4}, {"x": 5}, {"wish": "error", "x": 6}, {"x": 7}, {"x": 8}]
TABLES = (
    schema.rows_table, schema.tokens_table, schema.token_parents_table, schema.token_outcomes_table,
    schema.node_states_table, schema.routing_events_table, schema.transform_errors_table,
    schema.batches_table, schema.batch_members_table,
)  # fmt: skip
TIMES = {"created_at", "recorded_at", "started_at", "completed_at", "duration_ms", "run_no", "batch_no"}


class Again:
    """Records a run a second time, by single calls, in the order in which its tokens were made."""

    def __init__(self, db: LandscapeDB, run_id: str, rows: int) -> None:
        self.engine = db.engine
        self.reader, self.recorder = LandscapeReader(db), LandscapeRecorder(db)
        self.run_id, self.new_id = run_id, "written-again"
        self.recorder.begin_run(RunStart(self.new_id, {}, "h"))
        for node in self.reader.nodes(run_id):
            self.recorder.register_node(self.new_id, node.node_id, node.node_type, node.plugin_name)
        self.edges = {
            edge.edge_id: self.recorder.register_edge(
                self.new_id, edge.from_node_id, edge.to_node_id, edge.label, edge.default_mode
            )
            for edge in self.reader.edges(run_id)
        }
        lineages = [self.reader.row_lineage(run_id, index) for index in range(rows)]
        self.tokens = {token.token_id: token for row in lineages for token in row.tokens}
        self.batches = {
            place.batch.batch_id: place.batch for token in self.tokens.values() for place in token.batches
        }
        self.same = dict(self.edges)  # ids of the first run that the second has under another number
        self.ids: dict[str, str] = {}
        self.states: set[str] = set()
        self.done: set[str] = set()
        for row in lineages:
            self._row(row)

    def _row(self, row: RowLineage) -> None:
        assert row.source_node_id is not None
        assert row.source_data is not None
        made = self.recorder.create_row(self.new_id, row.source_node_id, row.row_index, row.source_data)
        self.ids[row.roots[0].token_id] = made.token_id

    def write(self) -> None:
        """Whatever can be recorded is, until all is; what makes tokens in the order of their numbers."""
        while not self.tokens.keys() <= self.done:
            before = len(self.done), len(self.ids)
            for batch in sorted(self.batches.values(), key=lambda batch: int(batch.batch_id.split("-b")[-1])):
                if batch.members == batch.results or batch.status == "failed":
                    self._pass(batch)
            for token in list(self.tokens.values()):
                if token.token_id in self.ids and token.token_id not in self.done:
                    self._token(token)
            for make in sorted(self._ready(), key=lambda ready: ready[0])[:1]:
                make[1]()
            assert (len(self.done), len(self.ids)) != before, "nothing can be recorded any more"

    def _pass(self, batch: BatchRecord) -> None:
        if batch.batch_id in self.done or not set(batch.members) <= self.ids.keys():
            return
        self.done.add(batch.batch_id)
        made = self._begin(batch)
        if batch.status == "failed":
            self.recorder.fail_batch(made)
        else:
            self.recorder.pass_batch(made)

    def _begin(self, batch: BatchRecord) -> str:
        members = [self.ids[member] for member in batch.members]
        made = self.recorder.begin_batch(self.new_id, batch.node_id, members, batch.trigger_type)
        self.same[batch.batch_id] = made
        return made

    def _token(self, token: TokenLineage) -> None:
        """All that happened to a token, and its end if that makes no other token."""
        if any(
            place.batch.batch_id not in self.done
            for place in token.batches
            if place.batch.members == place.batch.results or place.batch.status == "failed"
        ):
            return
        mine = self.ids[token.token_id]
        if token.token_id not in self.states:
            self.states.add(token.token_id)
            for state in token.states:
                self._state(token, state, mine)
        if token.outcome in ("FORKED", "COALESCED", "CONSUMED_IN_BATCH"):
            return
        self.done.add(token.token_id)
        if token.sink_name is not None:
            self.recorder.record_arrival(mine, token.sink_name)
        else:
            self.recorder.record_discard(mine)

    def _state(self, token: TokenLineage, state: Any, mine: str) -> None:
        errors = [error for error in token.errors if error.state_id == state.state_id]
        end = StateEnd(dict(state.output_data)) if state.output_data is not None else StateEnd()
        if errors:
            error, late = errors[0], state.status == "late"
            end = StateEnd(error=error.reason, destination=error.destination, late=late)
        start = StateStart(state.node_id, attempt=state.attempt)
        state_id = self.recorder.record_node_state(mine, start, end)
        events = [event for event in token.events if event.state_id == state.state_id]
        if events:
            edges = [self.edges[event.edge_id] for event in events]
            self.recorder.record_routing_events(state_id, edges, events[0].mode, events[0].reason)

    def _ready(self) -> Iterator[tuple[tuple[int, int, int], Any]]:
        """What makes new tokens and can be recorded now: row and number of the first, and how."""
        for token in self.tokens.values():
            if token.token_id in self.done or token.token_id not in self.states:
                continue
            made = self._made_of(token)
            if all(parent in self.states for parent in made[0]):
                yield made[1], lambda made=made: made[2]()

    def _made_of(self, token: TokenLineage) -> tuple[tuple[str, ...], tuple[int, int, int], Any]:
        if token.outcome == "FORKED":
            return (token.token_id,), _place(token.children[0].token_id), lambda: self._fork(token)
        if token.outcome == "COALESCED":
            joined = self.tokens[token.joined_into[0]]
            return joined.parents, _place(joined.token_id), lambda: self._join(joined)
        batch = next(place.batch for place in token.batches if place.batch.members != place.batch.results)
        return batch.members, _place(batch.results[0]), lambda: self._complete(batch)

    def _fork(self, token: TokenLineage) -> None:
        children = sorted(token.children, key=lambda child: child.token_no)
        made = self.recorder.fork_token(
            self.ids[token.token_id], [child.branch_name or "" for child in children]
        )
        self.ids |= {child.token_id: new.token_id for child, new in zip(children, made, strict=True)}
        self.done.add(token.token_id)

    def _join(self, joined: TokenLineage) -> None:
        parents = [self.ids[parent] for parent in joined.parents]
        assert joined.merge is not None
        merge = {
            "coalesce": joined.merge.coalesce,
            "policy": joined.merge.policy,
            "merge": joined.merge.merge,
            "branches": list(joined.merge.branches),
            "origins": dict(joined.merge.origins),
        }
        made = self.recorder.join_tokens(
            parents, dict(joined.start_data or {}), joined.branch_name, merge=merge
        )
        self.ids[joined.token_id] = made.token_id
        self.done.update(joined.parents)

    def _complete(self, batch: BatchRecord) -> None:
        rows = [dict(self.tokens[result].start_data or {}) for result in batch.results]
        made = self.recorder.complete_batch(self._begin(batch), rows)
        self.ids |= {result: new.token_id for result, new in zip(batch.results, made, strict=True)}
        self.done.update(batch.members)

    def compare(self, table: Table) -> tuple[list[str], list[str]]:
        """The records of the first run, by the ids of the second, and those of the second; without times."""
        with self.engine.connect() as connection:
            found = [dict(row) for row in connection.execute(select(table)).mappings()]
        first, second = [], []
        for row in found:
            kept = {name: self.same.get(value, value) for name, value in row.items() if name not in TIMES}
            text = repr(kept)
            (second if self.new_id in repr(row) else first).append(text.replace(self.run_id, self.new_id))
        return sorted(first), sorted(second)


def _place(token_id: str) -> tuple[int, int, int]:
    row_no, token_no = token_id.split("-")[-2:]
    return 0, int(row_no), int(token_no)


@pytest.fixture
def again(any_place: Any) -> Iterator[Again]:
    result = any_place.run(PIPELINE, ROWS)
    assert set(result.outcomes) == {
        "COALESCED", "COMPLETED", "CONSUMED_IN_BATCH", "DISCARDED", "FAILED", "FORKED"
    }  # fmt: skip
    db = LandscapeDB.from_url(any_place.url)
    made = Again(db, result.run_id, len(ROWS))
    made.write()
    yield made
    db.close()


def test_every_view_gives_the_same_records(again: Again) -> None:
    for table in TABLES:
        bulk, single = again.compare(table)
        assert bulk == single, table.name
        assert bulk, f"{table.name} is empty: this test proves nothing about it"


def test_the_reader_tells_the_same_story(again: Again) -> None:
    for index in range(len(ROWS)):
        first, second = (again.reader.row_lineage(run, index) for run in (again.run_id, again.new_id))
        for one, other in zip(first.tokens, second.tokens, strict=True):
            assert (one.merge, one.outcome, one.branch_name) == (
                other.merge,
                other.outcome,
                other.branch_name,
            )
            assert [state.output_data for state in one.states] == [
                state.output_data for state in other.states
            ]
            assert [again.ids[parent] for parent in one.parents] == list(other.parents)
            assert [(place.role, place.ordinal, place.batch.node_id) for place in one.batches] == [
                (place.role, place.ordinal, place.batch.node_id) for place in other.batches
            ]
