"""Nodes, edges, states and decisions, one call at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.clock import Clock, microseconds
from elspeth.core.landscape import ids, runs
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reading.assembling import assemble
from elspeth.core.landscape.reading.lineage import NodeStateRecord
from elspeth.core.landscape.reading.material import read_material
from elspeth.core.landscape.reading.stored import PathCache
from elspeth.core.landscape.stepwise import graph, making, states, tokens
from elspeth.core.landscape.stepwise.decisions import Decision, DecisionRecord, decide, divert
from elspeth.core.landscape.stepwise.graph import NodeDraft
from elspeth.core.landscape.stepwise.making import Carried
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.core.landscape.stepwise.token_recording import check_destinations, unknown_run
from elspeth.core.landscape.stepwise.tokens import RecordError, TokenAt, transaction
from elspeth.core.landscape.tables import runs_table


class StateRecording:
    """Nodes, edges, node states and routing events, record by record."""

    db: LandscapeDB
    clock: Clock

    def register_node(
        self,
        run_id: str,
        node_id: str,
        node_type: NodeType | str,
        plugin_name: str = "",
        config: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put a node of the graph on record; False if it was there. Raises RecordError for an unknown run."""
        draft = NodeDraft(node_id, NodeType(node_type), plugin_name, config=config)
        with transaction(self.db) as connection:
            _need_run(connection, run_id)
            return graph.ensure_node(connection, run_id, draft)

    def register_edge(
        self,
        run_id: str,
        from_node_id: str,
        to_node_id: str,
        label: str = "continue",
        default_mode: EdgeMode | str = EdgeMode.MOVE,
    ) -> str:
        """Put an edge on record unless it is there; returns its id. Raises RecordError for an unknown run."""
        with transaction(self.db) as connection:
            _need_run(connection, run_id)
            ends = (from_node_id, to_node_id)
            return graph.add_edge(connection, run_id, ends, label, EdgeMode(default_mode))

    def begin_node_state(
        self,
        token: str | Carried,
        start: StateStart,
        *,
        run_id: str | None = None,
        node: NodeDraft | None = None,
        at: datetime | None = None,
    ) -> str:
        """Put down that a token came to a node, as a ``running`` state; returns the state's id.

        A `Carried` token that is not on record is put down first, in ``run_id`` or else in the
        run ``standalone``; so is the ``node``. Raises RecordError for an unknown id or a token
        that has ended.
        """
        now = self._instant(at)
        with transaction(self.db) as connection:
            found = _resolve(connection, token, run_id, now)
            if node is not None:
                graph.ensure_node(connection, found.run_id, node)
            return states.begin(connection, found, start, now)

    def complete_node_state(self, state_id: str, end: StateEnd, *, at: datetime | None = None) -> None:
        """Put down how a running state ended: completed, or failed if ``end`` has an error."""
        now = self._instant(at)
        with transaction(self.db) as connection:
            states.finish(connection, _token_of_state(connection, state_id), state_id, end, now)

    def record_node_state(
        self,
        token_id: str,
        start: StateStart,
        end: StateEnd | None = None,
        *,
        started_at: datetime | None = None,
        completed_at: datetime | None = None,
    ) -> str:
        """`begin_node_state` and `complete_node_state` in one transaction; returns the state's id."""
        began = self._instant(started_at)
        ended = self._instant(completed_at) if completed_at or not started_at else began
        with transaction(self.db) as connection:
            state_id = states.begin(connection, tokens.need_token(connection, token_id), start, began)
            token = tokens.need_token(connection, token_id)
            states.finish(connection, token, state_id, end or StateEnd(), ended)
        return state_id

    def record_routing_event(
        self, state_id: str, edge_id: str, mode: EdgeMode | str | None = None, reason: Any = None
    ) -> str:
        """Put down that a state's decision chose this edge; returns the decision's ``routing_group_id``."""
        return self.record_routing_events(state_id, [edge_id], mode, reason)

    def record_routing_events(
        self, state_id: str, edge_ids: Sequence[str], mode: EdgeMode | str | None = None, reason: Any = None
    ) -> str:
        """Put down which edges a state's decision chose, in order; returns its ``routing_group_id``.

        ``mode`` overrides the edges' own. Raises RecordError for an unknown state or edge.
        """
        with transaction(self.db) as connection:
            token = _token_of_state(connection, state_id)
            known = {edge.edge_id: edge.default_mode for edge in runs.read_edges(connection, token.run_id)}
            unknown = [edge_id for edge_id in edge_ids if edge_id not in known]
            if unknown:
                raise RecordError(
                    f"run {token.run_id!r} has no edge {unknown[0]!r}", fix="register_edge(…) first"
                )
            chosen = [(edge_id, EdgeMode(mode or known[edge_id])) for edge_id in edge_ids]
            return states.add_events(connection, token, state_id, chosen, reason)

    def record_decision(
        self, token: str | Carried, decision: Decision, *, run_id: str | None = None
    ) -> DecisionRecord:
        """Put down a whole decision: the gate's state, one routing event per destination, what comes of it.

        A token that moves to a sink, or to ``discard``, has ended by that. Raises RecordError for
        a token that is unknown or has ended, and for destinations that the graph does not have.
        """
        check_destinations(decision.destinations)
        if decision.mode == EdgeMode.MOVE and len(decision.destinations) > 1:
            raise RecordError("a token can move to one destination only", fix="use mode `copy` for several")
        now = self._instant(None)
        with transaction(self.db) as connection:
            found = _resolve(connection, token, run_id, now)
            row = token.row if isinstance(token, Carried) else None
            return decide(connection, found, decision, row, now)

    def record_arrival(
        self, token_id: str, sink_node_id: str, *, edge_id: str | None = None, at: datetime | None = None
    ) -> None:
        """Put down that a token is in a sink, and so has ended: call it when it really is.

        ``edge_id`` is the edge on which it came, if no routing event has said so. A token whose
        last state failed has been diverted here; that is put down too.
        """
        now = self._instant(at)
        with transaction(self.db) as connection:
            token = tokens.need_token(connection, token_id)
            came = {} if edge_id is None else {"last_edge_id": edge_id}
            if edge_id is None:
                states.leave_behind(connection, token, sink_node_id)
                divert(connection, token, sink_node_id)
                token = tokens.need_token(connection, token_id)
            tokens.end(connection, token, "sink", now, sink_node_id=sink_node_id, **came)

    def record_discard(self, token_id: str, *, at: datetime | None = None) -> None:
        """Put down that a token was dropped because somebody chose that."""
        now = self._instant(at)
        with transaction(self.db) as connection:
            tokens.end(connection, tokens.need_token(connection, token_id), "discarded", now)

    def get_node_states(self, token_id: str) -> list[NodeStateRecord]:
        """The token's states in step order, each with its data before and after; none for an unknown token.

        Raises LandscapeError if the record contradicts itself.
        """
        with transaction(self.db) as connection:
            found = tokens.find_token(connection, token_id)
            if found is None:
                return []
            run = (found.run_no, found.run_id)
            edges = {edge.edge_id: edge for edge in runs.read_edges(connection, found.run_id)}
            material = read_material(connection, run, found.row_no, PathCache(), edges)
        lineage = None if material is None else assemble(material).token(found.token_id)
        return [] if lineage is None else list(lineage.states)

    def _instant(self, at: datetime | None) -> int:
        return microseconds(self.clock.now() if at is None else at)


def _resolve(connection: Connection, token: str | Carried, run_id: str | None, now: int) -> TokenAt:
    if isinstance(token, Carried):
        return making.adopt(connection, token, run_id, now)
    return tokens.need_token(connection, token, run_id)


def _token_of_state(connection: Connection, state_id: str) -> TokenAt:
    key = ids.parse_state_id(state_id)
    token = None if key is None else tokens.find_token(connection, key.token_id)
    if token is None:
        raise RecordError(f"there is no node state {state_id!r} on record")
    return token


def _need_run(connection: Connection, run_id: str) -> None:
    if connection.execute(select(runs_table.c.run_no).where(runs_table.c.run_id == run_id)).scalar() is None:
        raise unknown_run(run_id)
