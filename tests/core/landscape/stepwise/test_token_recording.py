"""One record at a time ends in the same tables as the engine's bulk, and reads the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, select, update

from elspeth.contracts import TerminalState
from elspeth.contracts.errors import CanonicalError, LandscapeError, UsageError
from elspeth.core.canonical import digest, row_digest
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.core.landscape.tables import traces_table

START = datetime(2026, 11, 21, 2, 15, 30, 123456, tzinfo=UTC)


def began(landscape: LandscapeDB, run_id: str = "run-1") -> LandscapeRecorder:
    recorder = LandscapeRecorder(landscape)
    recorder.begin_run(RunStart(run_id, {}, "h"))
    return recorder


def at(milliseconds: float) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def rows_of(db: LandscapeDB, table: Table) -> list[dict[str, Any]]:
    with db.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.columns)).mappings()]


def test_a_row_is_there_with_its_first_token(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    data = {"id": 7, "amount": Decimal("1.50")}
    row = recorder.create_row("run-1", "orders", 4, data, at=START)
    assert rows_of(landscape, schema.rows_table) == [
        {"row_id": row.row_id, "run_id": "run-1", "source_node_id": "orders", "row_index": 4,
         "source_data_hash": row_digest(data).hex(), "created_at": START}
    ]  # fmt: skip
    assert row.source_data_hash == row_digest(data).hex()
    first, second = recorder.create_token(row.row_id), recorder.create_token(row.row_id)
    assert first.token_id == row.token_id
    assert second.token_id != row.token_id
    assert LandscapeReader(landscape).row_lineage("run-1", 4).source_data == data


def test_rows_may_have_the_callers_names(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    row = recorder.create_row("run-1", "orders", 0, {"x": 1}, "customer-17")
    assert row.row_id == "customer-17"
    assert recorder.create_token("customer-17").token_id == row.token_id
    (child,) = recorder.fork_token(row.token_id, ["a"])
    assert child.row_id == "customer-17"
    assert {token["row_id"] for token in rows_of(landscape, schema.tokens_table)} == {"customer-17"}


def test_rows_that_contradict_the_record_are_refused(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    recorder.create_row("run-1", "orders", 0, {"x": 1}, "mine")
    with pytest.raises(ValueError, match="no run 'run-404'"):
        recorder.create_row("run-404", "orders", 0, {})
    with pytest.raises(ValueError, match="has a row 'mine' already"):
        recorder.create_row("run-1", "orders", 1, {}, "mine")
    recorder.create_row("run-1", "orders", 1, {})
    with pytest.raises(ValueError, match="has a row 1 already"):
        recorder.create_row("run-1", "orders", 1, {})
    with pytest.raises(CanonicalError, match="x"):
        recorder.create_row("run-1", "orders", 2, {"x": float("nan")})
    assert len(rows_of(landscape, schema.rows_table)) == 2


def test_states_keep_data_hashes_and_times(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    before, after = {"id": 1, "amt": 2.0, "old": [1]}, {"id": 1, "amount": 2, "new": None}
    row = recorder.create_row("run-1", "orders", 0, before, at=START)
    source = recorder.record_node_state(row.token_id, StateStart("orders"), started_at=START)
    state = recorder.record_node_state(
        row.token_id, StateStart("tidy", before), StateEnd(after), started_at=at(1), completed_at=at(3.5)
    )
    first, second = recorder.get_node_states(row.token_id)
    assert (first.state_id, first.output_data, first.duration_ms) == (source, before, 0)
    assert (second.state_id, second.input_data, second.output_data) == (state, before, after)
    assert (second.started_at, second.completed_at, second.duration_ms) == (at(1), at(3.5), 2.5)
    assert second.changes is not None
    assert (second.changes.added, second.changes.removed) == (
        {"amount": 2, "new": None}, {"amt": 2.0, "old": [1]})  # fmt: skip
    stored = rows_of(landscape, schema.node_states_table)[1]
    assert (stored["state_id"], stored["status"], stored["duration_ms"]) == (state, "completed", 2.5)
    assert (stored["input_hash"], stored["output_hash"]) == (
        row_digest(before).hex(),
        row_digest(after).hex(),
    )


def test_a_state_under_way_is_on_record(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    row = recorder.create_row("run-1", "orders", 0, {"x": 1})
    state = recorder.begin_node_state(row.token_id, StateStart("slow"), at=START)
    (stored,) = rows_of(landscape, schema.node_states_table)
    assert (stored["status"], stored["completed_at"], stored["output_hash"]) == ("running", None, None)
    (read,) = recorder.get_node_states(row.token_id)
    assert (read.status, read.input_data, read.duration_ms) == ("running", {"x": 1}, None)
    recorder.complete_node_state(state, StateEnd({"x": 2}))
    assert recorder.get_node_states(row.token_id)[0].output_data == {"x": 2}
    with pytest.raises(ValueError, match="has ended already"):
        recorder.complete_node_state(state, StateEnd())
    with pytest.raises(ValueError, match=r"no node state 'nonsense'"):
        recorder.complete_node_state("nonsense", StateEnd())
    with pytest.raises(ValueError, match="has no state"):
        recorder.complete_node_state(f"{row.token_id}-9.1", StateEnd())


def test_routing_events_share_their_decision(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    assert recorder.register_node("run-1", "gate", "gate", config={"condition": "x"})
    assert not recorder.register_node("run-1", "gate", "gate")
    row = recorder.create_row("run-1", "orders", 0, {"x": 1})
    state = recorder.record_node_state(row.token_id, StateStart("gate"), completed_at=START)
    edges = [recorder.register_edge("run-1", "gate", name, name, "copy") for name in ("a", "b")]
    assert recorder.register_edge("run-1", "gate", "a", "a", "copy") == edges[0]
    reason = {"rule": "x == 1"}
    group = recorder.record_routing_events(state, edges, reason=reason)
    assert recorder.record_routing_event(state, edges[0], "move") == group
    events = rows_of(landscape, schema.routing_events_table)
    assert [(event["ordinal"], event["edge_id"], event["mode"]) for event in events] == [
        (0, edges[0], "copy"), (1, edges[1], "copy"), (2, edges[0], "move")]  # fmt: skip
    assert {event["routing_group_id"] for event in events} == {group}
    assert events[0]["reason_hash"] == digest(reason).hex()
    with pytest.raises(ValueError, match="no edge 'e-404'"):
        recorder.record_routing_event(state, "e-404")
    with pytest.raises(ValueError, match="no run 'run-404'"):
        recorder.register_edge("run-404", "a", "b")
    with pytest.raises(ValueError, match="no run 'run-404'"):
        recorder.register_node("run-404", "a", "gate")


def test_how_a_token_ended_is_derived_from_how_it_got_there(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    recorder.register_node("run-1", "orders", "source")
    recorder.register_node("run-1", "gate", "gate")
    recorder.register_node("run-1", "tidy", "transform")
    edges = [
        ("gate", "move", TerminalState.ROUTED), ("gate", "copy", TerminalState.COMPLETED),
        ("tidy", "move", TerminalState.COMPLETED), ("tidy", "divert", TerminalState.FAILED),
        ("orders", "divert", TerminalState.QUARANTINED),
    ]  # fmt: skip
    for number, (node, mode, expected) in enumerate(edges):
        edge = recorder.register_edge("run-1", node, "out", mode, mode)
        token = recorder.create_token(f"row-{number}", run_id="run-1")
        assert recorder.get_terminal_state(token.token_id) is None
        recorder.record_arrival(token.token_id, "out", edge_id=edge)
        assert recorder.get_terminal_state(token.token_id) is expected
        with pytest.raises(ValueError, match=r"has ended \(sink in 'out'\)"):
            recorder.record_arrival(token.token_id, "out")
        with pytest.raises(ValueError, match="has ended"):
            recorder.record_node_state(token.token_id, StateStart("tidy"))
        recorder.record_node_state(token.token_id, StateStart("out"))
        assert recorder.get_terminal_state(token.token_id) is expected
    dropped = recorder.create_token("row-9", run_id="run-1")
    recorder.record_discard(dropped.token_id)
    assert recorder.get_terminal_state(dropped.token_id) is TerminalState.DISCARDED


def test_a_reader_that_was_there_before_sees_what_comes(landscape: LandscapeDB) -> None:
    recorder, reader = began(landscape), LandscapeReader(landscape)
    row = recorder.create_row("run-1", "orders", 0, {"x": 1})
    assert reader.token_lineage(row.token_id).states == ()
    recorder.record_node_state(row.token_id, StateStart("tidy"), StateEnd({"x": 2}))
    assert [state.node_id for state in reader.token_lineage(row.token_id).states] == ["tidy"]
    recorder.record_arrival(row.token_id, "out")
    assert reader.token_lineage(row.token_id).outcome == "COMPLETED"
    assert reader.counts("run-1").sinks == {"out": 1}


def test_a_fork_that_was_given_a_row_of_its_own_has_that(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    left, right = recorder.fork_token(recorder.create_token("row-1").token_id, ["left", "right"])
    for child, value in ((left, 1), (right, 2)):
        recorder.record_node_state(child.token_id, StateStart("tidy", {"x": value}))
    states = [recorder.get_node_states(child.token_id)[0] for child in (left, right)]
    assert [state.input_data for state in states] == [{"x": 1}, {"x": 2}]
    lineage = LandscapeReader(landscape).row_of_token(right.token_id)
    assert [token.start_data for token in lineage.tokens] == [None, {"x": 1}, {"x": 2}]


def test_an_output_needs_an_input(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    token = recorder.create_token("row-1")
    with pytest.raises(ValueError, match="has an output but no input"):
        recorder.record_node_state(token.token_id, StateStart("tidy"), StateEnd({"x": 1}))
    assert recorder.get_node_states(token.token_id) == []


def test_tokens_of_the_engine_get_a_path_of_their_own(
    landscape: LandscapeDB, record_orders: Callable[..., Any]
) -> None:
    run = record_orders(landscape)
    recorder = LandscapeRecorder(landscape)
    with landscape.engine.begin() as connection:
        # As a checkpoint leaves it: two tokens on one open path.
        path = select(traces_table.c.path_no).where(traces_table.c.row_no == 1, traces_table.c.token_no == 1)
        number = connection.execute(path).scalar_one()
        connection.execute(
            update(schema.metadata.tables["paths"])
            .where(schema.metadata.tables["paths"].c.path_no == number)
            .values(ending=None, sink_node_id=None)
        )
    open_one, other = f"{run.run_id}-1-1", f"{run.run_id}-2-1"
    recorder.record_node_state(open_one, StateStart("again"))
    assert [state.node_id for state in recorder.get_node_states(open_one)] == ["review", "again"]
    assert [state.node_id for state in recorder.get_node_states(other)] == ["review"]


def test_records_that_were_altered_are_not_shown(landscape: LandscapeDB) -> None:
    recorder = began(landscape)
    row = recorder.create_row("run-1", "orders", 0, {"x": 1})
    recorder.record_node_state(row.token_id, StateStart("tidy"))
    with landscape.engine.begin() as connection:
        connection.execute(update(traces_table).values(payload='{"x":2}'))
    with pytest.raises(LandscapeError, match="recorded was"):
        recorder.get_node_states(row.token_id)


def test_an_unknown_token_has_no_states(landscape: LandscapeDB) -> None:
    assert LandscapeRecorder(landscape).get_node_states(token_id="nobody") == []


def test_a_database_that_refuses_is_an_error_of_the_landscape() -> None:
    db = LandscapeDB.in_memory()
    recorder = LandscapeRecorder(db)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE path_steps")
    with pytest.raises(LandscapeError, match="can't be written: no such table"):
        recorder.record_node_state(recorder.create_token("row-1").token_id, StateStart("tidy"))
    assert not issubclass(LandscapeError, UsageError)
    db.close()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.decimals(allow_nan=False, allow_infinity=False), st.lists(st.integers(-3, 3), max_size=2),
    st.binary(max_size=3),
)  # fmt: skip
ROWS = st.dictionaries(st.sampled_from(["a", "b", "c", "$elspeth", "ä"]), VALUES, max_size=4)


@given(rows=st.lists(ROWS, min_size=1, max_size=6), forked=st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_rows_come_back_as_they_were(rows: list[dict[str, Any]], forked: bool) -> None:
    db = LandscapeDB.in_memory()
    recorder = began(db)
    token_id = recorder.create_row("run-1", "orders", 0, rows[0]).token_id
    if forked:
        token_id = recorder.fork_token(token_id, ["a"])[0].token_id
    current = rows[0]
    for row in rows[1:]:
        recorder.record_node_state(token_id, StateStart("tidy", current), StateEnd(row))
        current = row
    found = recorder.get_node_states(token_id)
    assert [repr(state.output_data) for state in found] == [repr(row) for row in rows[1:]]
    assert [repr(state.input_data) for state in found] == [repr(row) for row in rows[:-1]]
    assert [state.output_hash for state in found] == [row_digest(row).hex() for row in rows[1:]]
    db.close()
