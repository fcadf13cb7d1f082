"""Bringing back what waited when a run stopped: the tokens, and what the nodes knew of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import Origin, Path
from elspeth.core.landscape.resumption import StoredToken, read_waiting
from elspeth.engine.assembly import Holding, Machine
from elspeth.engine.executors.aggregation import AggregationStep
from elspeth.engine.executors.coalesce import CoalesceStep
from elspeth.engine.executors.concurrent import ConcurrentStep
from elspeth.engine.executors.sink import SinkStep
from elspeth.engine.live import JoinContext, JoinGroup, JoinPlan, LiveToken
from elspeth.engine.steps import Held, Workshop

Chain = Sequence[Sequence[Any]]


def restore_waiting(db: LandscapeDB, workshop: Workshop, machine: Machine, states: Mapping[str, Any]) -> int:
    """Put every waiting token back where it was; returns how many were ever written as waiting."""
    return _Restorer(workshop, machine, states).restore(read_waiting(db, workshop.run_id, workshop.run_no))


class _Restorer:
    def __init__(self, workshop: Workshop, machine: Machine, states: Mapping[str, Any]) -> None:
        self._workshop = workshop
        self._epoch = workshop.clock.epoch_ns
        self._steps: dict[str, Holding | ConcurrentStep | SinkStep] = {
            step.node_id: step for step in (*machine.holding, *machine.concurrent, *machine.sinks.values())
        }
        self._states = {(state["coalesce"], *state["parent"]): state for state in states.get("groups", ())}
        self._since = states.get("aggregations", {})
        self._groups: dict[tuple[str, int, int], JoinGroup] = {}
        self._roots: dict[int, LiveToken] = {}
        workshop.batches = states.get("batches", 0)

    def restore(self, waiting: Sequence[StoredToken]) -> int:
        for stored in waiting:
            token = self._token(stored)
            chain = orjson.loads(stored.joins)
            context = self._context(chain)
            step = self._steps[stored.node_id]
            if isinstance(step, CoalesceStep):
                assert context is not None
                assert stored.branch is not None
                token.join = context.outer
                context.group.arrived[stored.branch] = token
                step.groups[context.group.key] = context.group
            self._workshop.hold(token, Held(stored.node_id, stored.branch, context))
            if isinstance(step, SinkStep):
                step.early.append(token)
            elif not isinstance(step, CoalesceStep):
                token.join = context
                self._into(step, token)
        self._set_timers()
        return max((stored.ordinal + 1 for stored in waiting), default=0)

    def _into(self, step: AggregationStep | ConcurrentStep, token: LiveToken) -> None:
        if isinstance(step, ConcurrentStep):
            step.enter(token)
            return
        if not step.waiting:
            step.begin(self._since[step.node_id] * 1000 - self._epoch)
        step.waiting.append(token)

    def _set_timers(self) -> None:
        for group in self._groups.values():
            joiner = group.plan.joiner
            if group.deadline is not None and not group.closed and isinstance(joiner, CoalesceStep):
                self._workshop.timers.set(group.deadline, joiner, group.key)

    def _token(self, stored: StoredToken) -> LiveToken:
        t0 = stored.t0 * 1000 - self._epoch
        token = LiveToken(self._workshop.run_id, stored.row_no, stored.row, t0)
        token.token_no = stored.token_no
        token.parent_no = stored.parent_no
        token.branch_name = stored.path.origin.branch_name
        token.payload = stored.payload
        token.hashes = stored.hashes
        token.deltas = stored.deltas.encode()[1:-1] if stored.deltas else b""
        token.assigned = stored.assigned
        token.times = [t0 + offset * 1000 for offset in stored.times]
        token.path = stored.path
        token.stored = True
        token.nested = True  # not looked at here: costs time, hides nothing
        token.belongs_to(self._root(stored.row_no, stored.last_child))
        return token

    def _root(self, row_no: int, last_child: int) -> LiveToken:
        """What numbers the tokens of a row; the row's first token itself may have ended long ago."""
        root = self._roots.get(row_no)
        if root is None:
            root = self._roots[row_no] = LiveToken(self._workshop.run_id, row_no, {}, 0)
            root.last_child = last_child
        return root

    def _context(self, chain: Chain) -> JoinContext | None:
        """The contexts that a chain stands for (see `snapshot`), outermost first."""
        context: JoinContext | None = None
        for coalesce, row_no, token_no, exit_index in reversed(chain):
            context = JoinContext(self._group((coalesce, row_no, token_no)), exit_index, context)
        return context

    def _group(self, key: tuple[str, int, int]) -> JoinGroup:
        group = self._groups.get(key)
        if group is not None:
            return group
        state = self._states[key]
        joiner = self._steps[key[0]]
        assert isinstance(joiner, CoalesceStep)
        parent = LiveToken(self._workshop.run_id, key[1], {}, 0)
        parent.token_no = key[2]
        parent.branch_name = state["branch"]
        parent.path = Path(Origin(state["source"]), None, None)
        parent.join = self._context(state["outer"])
        parent.belongs_to(self._root(key[1], state["last_child"]))
        group = JoinGroup(JoinPlan(joiner, tuple(frozenset(doors) for doors in state["doors"])), parent)
        group.alive = list(state["alive"])
        group.closed = state["closed"]
        group.failure = state["failure"]
        group.deadline = None if state["deadline"] is None else state["deadline"] * 1000 - self._epoch
        self._groups[key] = group
        return group
