"""One decision at a time: what the contract says of each, in both kinds of database."""

from typing import Any

import pytest
from sqlalchemy import select

from elspeth.contracts import PluginContext, RoutingAction, TerminalState, TokenInfo
from elspeth.contracts.errors import ElspethError, UsageError
from elspeth.core.canonical import digest
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.schema import (
    edges_table,
    node_states_table,
    nodes_table,
    routing_events_table,
    runs_table,
    token_outcomes_table,
    tokens_table,
)
from elspeth.engine.executors.gate import GateExecutor, GateResult
from elspeth.engine.spans import Span, SpanFactory
from elspeth.engine.token_manager import TokenManager

CONTEXT = PluginContext(node_id="large")


def rows_of(db: LandscapeDB, table: Any) -> list[Any]:
    with db.engine.connect() as connection:
        return list(connection.execute(select(table).order_by(*table.columns)))


def everything(db: LandscapeDB) -> list[Any]:
    tables = (runs_table, nodes_table, edges_table, tokens_table, node_states_table, routing_events_table,
              token_outcomes_table)  # fmt: skip
    return [rows_of(db, table) for table in tables]


def decide(db: LandscapeDB, *action: Any, token: Any = None, **more: Any) -> GateResult:
    chosen = token or TokenManager(db).create_token("row-1")
    executor = GateExecutor(LandscapeRecorder(db), **more)
    return executor.execute(token=chosen, context=CONTEXT, routing_action=RoutingAction(*action))


def test_a_fork_copies_to_every_destination(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    parent = manager.create_token("row-1")
    reason = {"condition": "row['amount'] > 1000", "result": "true"}
    result = decide(landscape, "fork_to_paths", ["a", "b", "c"], "copy", reason, token=parent)
    assert result.action == "forked"
    assert result.child_tokens is not None
    assert [child.branch_name for child in result.child_tokens] == ["a", "b", "c"]
    assert len({child.fork_group_id for child in result.child_tokens}) == 1
    events = rows_of(landscape, routing_events_table)
    assert [event.routing_group_id for event in events] == [result.routing_group_id] * 3
    assert [(event.ordinal, event.mode) for event in events] == [(0, "copy"), (1, "copy"), (2, "copy")]
    assert {event.reason_hash for event in events} == {digest(reason).hex()}
    assert {event.state_id for event in events} == {result.state_id}
    edges = {edge.edge_id: edge for edge in rows_of(landscape, edges_table)}
    assert [edges[event.edge_id].to_node_id for event in events] == ["a", "b", "c"]
    assert manager.get_terminal_state(parent.token_id) is TerminalState.FORKED
    assert [manager.get_terminal_state(child.token_id) for child in result.child_tokens] == [None] * 3


def test_a_move_routes_the_token_itself(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    token = manager.create_token("row-1")
    result = decide(landscape, "route_to_sink", ["review"], "move", "too large", token=token)
    assert (result.action, result.destination, result.child_tokens) == ("routed", "review", None)
    (event,) = rows_of(landscape, routing_events_table)
    assert event.routing_group_id == result.routing_group_id
    (outcome,) = rows_of(landscape, token_outcomes_table)
    assert (outcome.token_id, outcome.outcome, outcome.sink_name) == (token.token_id, "ROUTED", "review")
    assert manager.get_terminal_state(token.token_id) is TerminalState.ROUTED


def test_a_copy_to_one_sink_lets_the_row_go_on(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    parent = manager.create_token("row-1")
    result = decide(landscape, "route_to_sink", ["review"], "copy", token=parent)
    assert (result.action, result.destination) == ("forked", "review")
    assert result.child_tokens is not None
    copy, going_on = result.child_tokens
    assert (copy.branch_name, going_on.branch_name) == ("review", "continue")
    assert manager.get_terminal_state(parent.token_id) is TerminalState.FORKED
    manager.recorder.record_arrival(copy.token_id, "review")
    decide(landscape, "route_to_sink", ["approved"], token=going_on)
    outcomes = {row.token_id: row.outcome for row in rows_of(landscape, token_outcomes_table)}
    assert outcomes == {parent.token_id: "FORKED", copy.token_id: "COMPLETED", going_on.token_id: "ROUTED"}


def test_a_row_that_continues_is_still_on_its_way(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    token = manager.create_token("row-1")
    result = decide(landscape, "continue", token=token)
    assert (result.action, result.child_tokens, result.destination) == ("continued", None, None)
    assert manager.get_terminal_state(token.token_id) is None
    (state,) = manager.recorder.get_node_states(token.token_id)
    assert (state.node_id, state.status) == ("large", "completed")
    again = decide(landscape, "route_to_sink", ["discard"], token=token)
    assert again.action == "routed"
    assert manager.get_terminal_state(token.token_id) is TerminalState.DISCARDED
    states = manager.recorder.get_node_states(token.token_id)
    assert [state.step_index for state in states] == [0, 1]


@pytest.mark.parametrize(
    ("action", "what"),
    [
        (("route_to_sink", ["a", "b"], "move"), "can move to one destination only, not to a, b"),
        (("fork_to_paths", ["a", "b"]), "can move to one destination only"),
        (("route_to_sink", [], "move"), "route_to_sink needs a destination"),
        (("fork_to_paths", [], "copy"), "fork_to_paths needs a destination"),
        (("fork_to_paths", ["a", "b", "a"], "copy"), "named more than once: a"),
        (("fork_to_paths", ["a", ""], "copy"), "can't send a row to ''"),
        (("continue", ["a"]), "`continue` has no destinations"),
        (("route_to_sink", ["a"], "divert"), "`divert` is for errors"),
        (("fork_to_paths", ["a", "reviwe"], "copy"), "can't send a row to 'reviwe'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    landscape: LandscapeDB, action: tuple[Any, ...], what: str
) -> None:
    token = TokenManager(landscape).create_token("row-1")
    before = everything(landscape)
    with pytest.raises(ValueError, match=what) as caught:
        decide(landscape, *action, token=token, destinations=["a", "b", "review"])
    assert isinstance(caught.value, ElspethError)
    assert everything(landscape) == before


def test_the_destinations_of_the_graph_on_record_are_known(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    recorder.begin_run(RunStart("run-1", {}, "h"))
    recorder.register_node("run-1", "large", "gate")
    recorder.register_node("run-1", "review", "sink")
    recorder.register_node("run-1", "score", "transform")
    edge = recorder.register_edge("run-1", "large", "review", "true")
    recorder.register_edge("run-1", "large", "score", "false")
    recorder.register_edge("run-1", "large", "quarantine", "on_error", "divert")
    tokens = [recorder.create_token(f"row-{number}", run_id="run-1") for number in range(3)]
    before = everything(landscape)
    for unknown in ("archive", "quarantine"):
        with pytest.raises(ValueError, match=r"no edge leads there\s+fix: .*review, score"):
            decide(landscape, "route_to_sink", [unknown], token=tokens[0])
    assert everything(landscape) == before
    decide(landscape, "route_to_sink", ["review"], token=tokens[0])
    decide(landscape, "fork_to_paths", ["score"], token=tokens[1])
    assert rows_of(landscape, routing_events_table)[0].edge_id == edge
    assert recorder.get_terminal_state(tokens[0].token_id) is TerminalState.ROUTED
    assert recorder.get_terminal_state(tokens[1].token_id) is None
    decide(landscape, "continue", token=tokens[2])


def test_a_token_that_has_ended_is_not_routed_again(landscape: LandscapeDB) -> None:
    token = TokenManager(landscape).create_token("row-1")
    decide(landscape, "fork_to_paths", ["a", "b"], "copy", token=token)
    before = everything(landscape)
    with pytest.raises(ValueError, match="has ended"):
        decide(landscape, "route_to_sink", ["a"], token=token)
    assert everything(landscape) == before


def test_nested_forks_read_as_a_tree(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    recorder.begin_run(RunStart("run-1", {}, "h"))
    row = recorder.create_row("run-1", "orders", 0, {"amount": 2000})
    first = decide(
        landscape, "fork_to_paths", ["a", "b"], "copy", {"why": 1}, token=recorder.create_token(row.row_id)
    )
    assert first.child_tokens is not None
    second = decide(landscape, "fork_to_paths", ["c", "d"], "copy", token=first.child_tokens[1])
    assert second.child_tokens is not None
    decide(landscape, "route_to_sink", ["out"], token=second.child_tokens[0])
    lineage = LandscapeReader(landscape).row_lineage("run-1", 0)
    (root,) = lineage.roots
    assert [[child.branch_name for child in token.children] for token in root.walk()] == [
        ["a", "b"], [], ["c", "d"], [], []]  # fmt: skip
    (decision,) = root.decisions
    assert [branch.token_id for branch in decision.branches] == [
        child.token_id for child in first.child_tokens
    ]
    assert [state.input_data for token in root.walk() for state in token.states] == [{"amount": 2000}] * 3
    assert [state.step_index for token in root.walk() for state in token.states] == [0, 1, 2]


def test_ids_that_a_caller_made_up_are_taken(landscape: LandscapeDB) -> None:
    token = TokenInfo("row-7", "token-1-2", {"amount": 5}, "left")
    result = decide(landscape, "fork_to_paths", ["a", "b"], "copy", token=token)
    assert result.child_tokens is not None
    assert [child.row_id for child in result.child_tokens] == ["row-7", "row-7"]
    assert [child.parent_token_id for child in result.child_tokens] == ["token-1-2", "token-1-2"]
    recorder = LandscapeRecorder(landscape)
    (state,) = recorder.get_node_states("token-1-2")
    assert (state.input_data, state.output_data) == ({"amount": 5}, {"amount": 5})
    stored = recorder.get_token("token-1-2")
    assert stored is not None
    assert (stored.row_id, stored.branch_name) == ("row-7", "left")


def test_the_run_of_the_context_is_put_on_record(landscape: LandscapeDB) -> None:
    context = PluginContext(run_id="run-9", node_id="large", landscape=landscape)
    GateExecutor().execute(
        token=TokenInfo("r", "t"), context=context, routing_action=RoutingAction("continue")
    )
    assert [run.run_id for run in rows_of(landscape, runs_table)] == ["run-9"]
    (node,) = rows_of(landscape, nodes_table)
    assert (node.run_id, node.node_id, node.node_type) == ("run-9", "large", "gate")


def test_the_executor_takes_its_parts_in_any_order() -> None:
    db = LandscapeDB.in_memory()
    found: list[Span] = []
    spans = SpanFactory(enabled=True, export=found.append)
    action = RoutingAction("continue")
    for executor in (
        GateExecutor(db), GateExecutor(TokenManager(db), spans), GateExecutor(spans, LandscapeRecorder(db)),
        GateExecutor(token_manager=TokenManager(db)), GateExecutor(db=db),
        GateExecutor(None, None, landscape=db),
    ):  # fmt: skip
        token = TokenManager(db).create_token("row-1")
        assert executor.execute(token=token, context=object(), routing_action=action).action == "continued"
    assert [span.name for span in found] == ["gate", "gate"]
    with pytest.raises(UsageError, match="has no landscape"):
        GateExecutor().execute(token=TokenInfo("r", "t"), context=CONTEXT, routing_action=action)
    db.close()
