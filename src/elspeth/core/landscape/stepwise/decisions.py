"""What a gate decided for one token, and what comes of it: all of it, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.contracts.plugins import Row
from elspeth.contracts.tokens import Token
from elspeth.core.landscape.stepwise import graph, making, states, tokens
from elspeth.core.landscape.stepwise.graph import CONTINUE, NodeDraft
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.core.landscape.stepwise.tokens import TokenAt

DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a gate decided for one token.

    ``move`` takes the token itself to its one destination, ``copy`` makes a child for each. With
    ``to_sink``, a destination that the graph does not know is a sink.
    """

    gate: NodeDraft
    destinations: Sequence[str]
    mode: EdgeMode
    reason: Mapping[str, Any] = field(default_factory=dict)
    to_sink: bool = False


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision on record; ``children`` are empty for a move."""

    state_id: str
    routing_group_id: str
    children: tuple[Token, ...]


def decide(
    connection: Connection, token: TokenAt, decision: Decision, row: Row | None, now: int
) -> DecisionRecord:
    """Put the decision down; ``row`` is what the gate saw (None: what the token had at last)."""
    tokens.require_open(token)
    gate, mode = decision.gate.node_id, decision.mode
    graph.ensure_node(connection, token.run_id, decision.gate)
    if decision.to_sink:
        for name in decision.destinations:
            if name != CONTINUE and not graph.planned_destinations(connection, token.run_id, gate):
                graph.ensure_node(connection, token.run_id, NodeDraft(name, NodeType.SINK))
    edges = [graph.gate_edge(connection, token.run_id, gate, name, mode) for name in decision.destinations]
    state_id = states.begin(connection, token, StateStart(gate, row), now)
    token = _again(connection, token)
    states.finish(connection, token, state_id, StateEnd(), now)
    chosen = [(edge.edge_id, str(mode)) for edge in edges]
    group_id = states.add_events(connection, token, state_id, chosen, decision.reason)
    token = _again(connection, token)
    if mode == EdgeMode.COPY:
        drafts = [
            making.Child(name, edge.edge_id) for name, edge in zip(decision.destinations, edges, strict=True)
        ]
        children = making.split(connection, token, "fork", drafts, now)
        return DecisionRecord(state_id, group_id, tuple(tokens.token_of(connection, c) for c in children))
    if edges[0].to_node_id == DISCARD:
        tokens.end(connection, token, "discarded", now)
    elif graph.is_sink(edges[0]):
        tokens.end(connection, token, "sink", now, sink_node_id=edges[0].to_node_id)
    return DecisionRecord(state_id, group_id, ())


def divert(connection: Connection, token: TokenAt, sink: str) -> None:
    """Put down that a token came to a sink because its last state failed; nothing if it did not fail.

    Known only now: until a token is at an error sink, its failed step may be tried again.
    """
    failed = states.failed_last(connection, token)
    if failed is None:
        return
    state_id, node_id = failed
    graph.ensure_node(connection, token.run_id, NodeDraft(sink, NodeType.SINK))
    ends = (node_id, sink)
    edge_id = graph.add_edge(connection, token.run_id, ends, "on_error", EdgeMode.DIVERT, on_demand=True)
    states.add_events(connection, token, state_id, [(edge_id, EdgeMode.DIVERT)], None)


def _again(connection: Connection, token: TokenAt) -> TokenAt:
    """The token as it is stored now."""
    return tokens.need_token(connection, token.token_id, token.run_id)
