"""The reader says what the views say, and more: data at every step, decisions, ends."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, insert, select

from elspeth.contracts.errors import NotFoundError
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import Delta, Event, Step
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.reading.lineage import NodeStateRecord, TokenLineage
from elspeth.core.landscape.tables import batch_tokens_table, batches_table, joins_table

RUN = "20261121T021530Z-abcdef"
CREATED = datetime(2026, 11, 21, tzinfo=UTC)
Rows = list[Mapping[str, Any]]


@pytest.fixture
def reader(landscape: LandscapeDB, record_orders: Callable[..., Any]) -> LandscapeReader:
    record_orders(landscape, RUN)
    return LandscapeReader(landscape)


@pytest.fixture
def memory(record_orders: Callable[..., Any]) -> Iterator[LandscapeDB]:
    db = LandscapeDB.in_memory()
    record_orders(db, RUN)
    yield db
    db.close()


def all_tokens(reader: LandscapeReader) -> list[TokenLineage]:
    return [token for index in range(6) for token in reader.row_lineage(RUN, index).tokens]


def view(db: LandscapeDB, table: Table) -> Rows:
    with db.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def by(rows: Rows, key: str) -> dict[Any, Mapping[str, Any]]:
    return {row[key]: row for row in rows}


def test_tokens_are_those_of_the_views(reader: LandscapeReader, landscape: LandscapeDB) -> None:
    tokens = by(view(landscape, schema.tokens_table), "token_id")
    outcomes = by(view(landscape, schema.token_outcomes_table), "token_id")
    parents = view(landscape, schema.token_parents_table)
    read = all_tokens(reader)
    assert {token.token_id for token in read} == tokens.keys()
    for token in read:
        row = tokens[token.token_id]
        for name in ("row_id", "fork_group_id", "join_group_id", "branch_name", "created_at"):
            assert getattr(token, name) == row[name], name
        outcome = outcomes[token.token_id]
        assert (token.outcome, token.sink_name) == (outcome["outcome"], outcome["sink_name"])
        assert token.ended_at == outcome["recorded_at"]
        expected = [row["parent_token_id"] for row in parents if row["token_id"] == token.token_id]
        assert list(token.parents) == expected


def test_states_and_events_are_those_of_the_views(reader: LandscapeReader, landscape: LandscapeDB) -> None:
    states = by(view(landscape, schema.node_states_table), "state_id")
    events = by(view(landscape, schema.routing_events_table), "event_id")
    edges = {edge.edge_id: edge for edge in reader.edges(RUN)}
    read = all_tokens(reader)
    assert {state.state_id for token in read for state in token.states} == states.keys()
    assert {event.event_id for token in read for event in token.events} == events.keys()
    shared = set(NodeStateRecord.__slots__) & set(next(iter(states.values())))
    assert len(shared) == 11
    for state in (state for token in read for state in token.states):
        for name in shared - {"duration_ms"}:
            assert getattr(state, name) == states[state.state_id][name], name
        assert state.duration_ms == pytest.approx(float(states[state.state_id]["duration_ms"]))
    for event in (event for token in read for event in token.events):
        row = events[event.event_id]
        for name in (
            "state_id",
            "routing_group_id",
            "ordinal",
            "edge_id",
            "mode",
            "reason_hash",
            "created_at",
        ):
            assert getattr(event, name) == row[name], name
        assert event.to_node_id == edges[event.edge_id].to_node_id


def test_rows_and_errors_are_those_of_the_views(reader: LandscapeReader, landscape: LandscapeDB) -> None:
    for row in view(landscape, schema.rows_table):
        read = reader.row_lineage(RUN, row["row_index"])
        for name in ("row_id", "run_id", "source_node_id", "source_data_hash", "created_at"):
            assert getattr(read, name) == row[name], name
    tables = (schema.validation_errors_table, schema.transform_errors_table)
    recorded = [row for table in tables for row in view(landscape, table)]
    errors = reader.errors(RUN)
    assert len(errors) == len(recorded) == 2
    assert reader.errors(RUN, limit=1) == errors[:1]
    for error in errors:
        row = by(recorded, "error_id")[error.error_id]
        for name in ("row_id", "token_id", "state_id", "node_id", "destination", "created_at"):
            assert getattr(error, name) == row[name], name
    assert [error for token in all_tokens(reader) for error in token.errors] == errors


def test_counts_are_those_of_the_views(reader: LandscapeReader, landscape: LandscapeDB) -> None:
    outcomes = [row["outcome"] for row in view(landscape, schema.token_outcomes_table)]
    assert reader.outcome_counts(RUN) == {name: outcomes.count(name) for name in set(outcomes)}
    assert reader.sink_counts(RUN) == {
        "approved": 3, "archive": 2, "failures": 1, "quarantine": 1, "review": 2,
    }  # fmt: skip
    states = [(row["node_id"], row["status"]) for row in view(landscape, schema.node_states_table)]
    counted = reader.counts(RUN)
    assert {(node, status): n for node, found in counted.nodes.items() for status, n in found.items()} == {
        state: states.count(state) for state in set(states)
    }
    assert (counted.read, counted.quarantined, counted.failed, counted.open) == (6, 1, 1, 0)


def test_data_is_there_in_full_at_every_step(reader: LandscapeReader) -> None:
    root, review, again = reader.row_lineage(RUN, 1).tokens
    source = {"id": 1, "amt": Decimal("2000.00"), "day": date(2026, 11, 1), "note": None}
    tidy = {"id": 1, "amount": Decimal("2000.00"), "day": date(2026, 11, 1), "note": "ok"}
    assert [(state.input_data, state.output_data) for state in root.states] == [(source, tidy), (tidy, tidy)]
    assert list(root.states[0].output_data or ()) == ["id", "amount", "day", "note"]
    assert [state.input_data for state in review.states] == [tidy]
    last = {"id": 1, "amount": Decimal("2000.00"), "big": 2**60}
    assert [(state.input_data, state.output_data) for state in again.states] == [(tidy, last), (last, last)]
    changes = again.states[0].changes
    assert changes is not None
    assert (changes.added, changes.changed) == ({"big": 2**60}, {})
    assert changes.removed == {"day": date(2026, 11, 1), "note": "ok"}
    assert not again.states[1].changes


def test_a_failed_step_has_an_input_and_no_output(reader: LandscapeReader) -> None:
    first, second, sink = reader.token_lineage(f"{RUN}-4-0").states
    assert (first.output_data, first.output_hash, first.changes) == (None, None, None)
    assert first.input_data == second.input_data == sink.input_data
    assert (first.state_id, second.state_id) == (f"{RUN}-4-0-0.1", f"{RUN}-4-0-0.2")


def test_children_are_a_tree(reader: LandscapeReader) -> None:
    row = reader.row_lineage(RUN, 5)
    (root,) = row.roots
    assert [child.token_id for child in root.children] == [f"{RUN}-5-1", f"{RUN}-5-2"]
    assert [child.start_data for child in root.children] == [{"id": 5, "sku": "a"}, {"id": 5, "sku": "b"}]
    assert {end.sink_name for end in root.ends()} == {"approved"}
    assert reader.token_lineage(f"{RUN}-5-0") == root


def test_a_fork_in_a_fork_ends_where_its_leaves_do(memory: LandscapeDB, recording: Any) -> None:
    run = recording(memory, "nested")
    nodes = {"in": "source", "g": "gate", "a": "sink", "b": "sink"}
    run.graph(nodes, [("g", "a", "x", "copy"), ("g", "b", "y", "copy")])
    start = {"n": 1}
    from_gate = _fork(run)
    run.token(0, 0, start, [(from_gate, None)])
    made = {"kind": "fork", "step_index": 1}
    run.token(0, 1, start, [(Step("a", ending="sink", sink="a"), None)], parent_no=0, branch="a", **made)
    run.token(0, 2, start, [(from_gate, None)], parent_no=0, branch="b", **made)
    run.token(0, 3, start, [(Step("a", ending="sink", sink="a"), None)], parent_no=2, branch="a", **made)
    run.token(0, 4, start, [(Step("b", ending="sink", sink="b"), None)], parent_no=2, branch="b", **made)
    run.commit()
    (root,) = LandscapeReader(memory).row_lineage("nested", 0).roots
    (decision,) = root.decisions
    assert [[end.token_id for end in way.ends] for way in decision.branches] == [
        ["nested-0-1"], ["nested-0-3", "nested-0-4"],
    ]  # fmt: skip
    assert [token.token_no for token in root.walk()] == [0, 1, 2, 3, 4]


def _fork(run: Any) -> Step:
    edges = run.edge("g", "x", "a"), run.edge("g", "y", "b")
    return Step("g", events=tuple(Event(edge, "copy") for edge in edges), ending="forked")


def test_joined_tokens_know_each_other(landscape: LandscapeDB, recording: Any) -> None:
    run = recording(landscape, "joined")
    run.graph({"in": "source", "out": "sink"}, [])
    for row_no in (0, 1):
        run.token(row_no, 0, {"n": row_no}, [(Step("join", ending="joined"), None)])
    run.token(0, 1, {"sum": 1}, [(Step("out", ending="sink", sink="out"), None)], kind="join")
    run.commit()
    with landscape.engine.begin() as connection:
        for ordinal in (0, 1):
            connection.execute(
                insert(joins_table).values(
                    run_no=run.run_no, row_no=0, token_no=1, ordinal=ordinal, parent_row_no=ordinal,
                    parent_token_no=0,
                )
            )  # fmt: skip
    reader = LandscapeReader(landscape)
    first, made = reader.row_lineage("joined", 0).roots
    assert (first.outcome, first.joined_into) == ("COALESCED", ("joined-0-1",))
    assert (made.parents, made.join_group_id) == (("joined-0-0", "joined-1-0"), "joined-0-1-join")
    assert made.start_data == {"sum": 1}
    (second,) = reader.row_lineage("joined", 1).roots
    assert second.joined_into == ("joined-0-1",)


def test_members_and_results_of_a_batch_know_each_other(landscape: LandscapeDB, recording: Any) -> None:
    run = recording(landscape, "batched")
    run.graph({"in": "source", "sum": "aggregation", "out": "sink"}, [])
    for row_no in (0, 1):
        run.token(row_no, 0, {"n": row_no}, [(Step("sum", ending="batched"), None)])
    run.token(0, 1, {"sum": 1}, [(Step("out", ending="sink", sink="out"), None)], kind="batch", parent_no=0)
    run.commit()
    with landscape.engine.begin() as connection:
        connection.execute(
            insert(batches_table).values(
                batch_id="batched-b0", run_id="batched", run_no=run.run_no, batch_no=0, node_id="sum",
                trigger_type="count", status="completed", created_at=CREATED, completed_at=CREATED,
            )
        )  # fmt: skip
        for role, ordinal, row_no, token_no in (("in", 0, 0, 0), ("in", 1, 1, 0), ("out", 0, 0, 1)):
            connection.execute(
                insert(batch_tokens_table).values(
                    run_no=run.run_no, batch_no=0, role=role, ordinal=ordinal, row_no=row_no,
                    token_no=token_no,
                )
            )  # fmt: skip
    reader = LandscapeReader(landscape)
    (first,) = reader.row_lineage("batched", 0).roots
    (made,) = first.children
    assert (first.outcome, first.joined_into) == ("CONSUMED_IN_BATCH", ("batched-0-1",))
    assert (made.parents, made.join_group_id) == (("batched-0-0", "batched-1-0"), "batched-0-1-batch")
    assert [(place.role, place.ordinal) for place in (*first.batches, *made.batches)] == [
        ("in", 0),
        ("out", 0),
    ]
    (second,) = reader.row_lineage("batched", 1).roots
    (place,) = second.batches
    assert (place.ordinal, place.batch.batch_id, place.batch.created_at) == (1, "batched-b0", CREATED)
    assert (place.batch.members, place.batch.results) == (made.parents, second.joined_into)


def test_callers_own_ids_are_kept(landscape: LandscapeDB, recording: Any) -> None:
    run = recording(landscape, "aliased")
    run.token(0, 0, {"n": 1}, [(Step("out"), None)], aliases=("my-row", "my-token-7"))
    run.error(0, 0, "orders", "odd", "discard")
    run.commit()
    token = LandscapeReader(landscape).token_lineage("my-token-7")
    assert (token.row_id, token.states[0].state_id) == ("my-row", "my-token-7-0.1")
    assert (token.outcome, token.ended_at) == (None, None)
    assert token.errors[0].token_id == "my-token-7"
    assert LandscapeReader(landscape).counts("aliased").open == 1


def test_calls_go_with_their_state(reader: LandscapeReader, landscape: LandscapeDB) -> None:
    with landscape.engine.begin() as connection:
        connection.execute(
            insert(schema.calls_table).values(
                call_id="c1", run_id=RUN, state_id=f"{RUN}-0-0-0.1", call_index=0, call_type="http",
                status="success", request_hash="00", latency_ms=12.5, cost=Decimal("0.25"), tokens_in=3,
                created_at=CREATED,
            )
        )  # fmt: skip
    (call,) = reader.token_lineage(f"{RUN}-0-0").calls
    assert (call.call_id, call.latency_ms, call.cost, call.tokens_in) == ("c1", 12.5, 0.25, 3)
    assert call.created_at == CREATED


def test_an_unchanged_type_is_told_from_a_changed_one(memory: LandscapeDB, recording: Any) -> None:
    run = recording(memory, "types")
    step = Step("coerce", delta=Delta(("a", "b"), ("a", "b")))
    run.token(0, 0, {"a": 5.0, "b": 1}, [(step, {"a": 5, "b": 1})])
    run.commit()
    (state,) = LandscapeReader(memory).token_lineage("types-0-0").states
    assert state.changes is not None
    assert state.changes.changed == {"a": (5.0, 5)}


def test_rows_are_found_by_content_and_sink(reader: LandscapeReader) -> None:
    assert reader.find_rows(RUN, lambda row: "amt" in row) == [0, 1, 2, 3, 4]
    assert reader.find_rows(RUN, lambda row: "amt" in row, limit=2) == [0, 1]
    assert reader.find_rows(RUN, lambda row: True, sink="approved") == [0, 5]
    assert reader.rows_in_sink(RUN, "approved") == [0, 5]
    assert reader.rows_in_sink(RUN, "approved", limit=1) == [0]
    assert reader.rows_in_sink(RUN, "nowhere") == []


def test_the_graph_and_the_artifacts_are_read(reader: LandscapeReader) -> None:
    assert [node.node_id for node in reader.nodes("latest")][:3] == ["orders", "tidy", "large"]
    assert {edge.default_mode for edge in reader.edges(RUN)} == {"move", "copy", "divert"}
    (artifact,) = reader.artifacts(RUN)
    assert (artifact.sink_node_id, artifact.size_bytes, artifact.rows) == ("approved", 120, 3)


def test_what_is_not_there_is_said_to_be_missing(reader: LandscapeReader) -> None:
    with pytest.raises(NotFoundError, match="has no row 6\n  fix: its rows are 0 to 5"):
        reader.row_lineage(RUN, 6)
    for token_id in (f"{RUN}-1-9", f"{RUN}-77-0", "no-such-token"):
        with pytest.raises(NotFoundError, match=f"there is no token '{token_id}'"):
            reader.token_lineage(token_id)
    with pytest.raises(NotFoundError, match=f"did you mean {RUN}"):
        reader.run(RUN.replace("abcdef", "abcdeg"))
