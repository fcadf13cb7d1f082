"""One gate at work: take the decision, put it on record, send the token or its copies on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any

from elspeth.contracts.enums import EdgeMode
from elspeth.core.canonical import canonical
from elspeth.core.expressions import EVALUATION_ERRORS, Expression, describe, label_of
from elspeth.core.landscape.paths import Event, Origin
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.joins import contexts_of
from elspeth.engine.live import JoinPlan, LiveToken
from elspeth.engine.steps import Discard, ErrorExit, Step, Workshop


@dataclass(frozen=True, slots=True)
class Exit:
    """One edge out of a gate, and the step behind it."""

    edge_id: str
    destination: str
    target: Step


class Route:
    """One label of a gate: where rows with this label go, and the record that this leaves."""

    __slots__ = ("exits", "joins", "path_step", "target")

    def __init__(
        self, node_id: str, exits: Sequence[Exit], mode: EdgeMode, reason: Mapping[str, Any]
    ) -> None:
        text = canonical(dict(reason))
        hashed = sha256(text).hexdigest()
        events = tuple(Event(exit.edge_id, mode, text.decode(), hashed) for exit in exits)
        self.exits = tuple(exits)
        self.joins: tuple[JoinPlan, ...] = ()
        self.target = exits[0].target if mode is EdgeMode.MOVE else None
        ending = None if self.target is not None else "forked"
        if isinstance(self.target, Discard):
            ending = "discarded"
        self.path_step = PathStep(
            node_id,
            events=events,
            ending=ending,
            exit_edge=exits[0].edge_id if self.target is not None else None,
        )


class GateStep:
    """One gate of a run."""

    def __init__(self, workshop: Workshop, node_id: str, condition: Expression) -> None:
        self._workshop = workshop
        self._ns = workshop.clock.ns
        self._node_id = node_id
        self._condition = condition
        self._decide = condition.fn
        self.routes: dict[str, Route] = {}
        self.failed: ErrorExit

    def step(self, token: LiveToken) -> Step | None:
        """Decide, and send the token on its way."""
        try:
            value = self._decide(token.row)
            label = "true" if value is True else "false" if value is False else label_of(value)
        except EVALUATION_ERRORS as error:
            return self.failed.take(token, {"error": describe(error, self._condition, token.row)})
        route = self.routes.get(label)
        if route is None:
            known = ", ".join(self.routes)
            return self.failed.take(
                token,
                {"error": f"the condition gave {label!r}, for which there is no route (there are: {known})"},
            )
        return self._send(token, route)

    def _send(self, token: LiveToken, route: Route) -> Step | None:
        """Put the decision on record, and send the token, or its copies, on."""
        token.times.append(self._ns())
        step = route.path_step
        path = token.path.children.get(step)
        if path is None:
            path = token.path.grow(step, step)
        token.path = path
        if route.target is not None:
            return route.target
        self._fork(token, route)
        return None

    def _fork(self, token: LiveToken, route: Route) -> None:
        workshop = self._workshop
        workshop.end(token)
        now = token.times[-1]
        parent = token.path
        copies = []
        joins = contexts_of(token, route.joins, len(route.exits))
        for exit, join in zip(route.exits, joins, strict=True):
            copy = token.child(token.row, now)
            copy.join = join
            copy.branch_name = exit.destination
            copy.nested = token.nested
            copy.plain = token.plain
            copy.hashes = token.hashes[-32:]
            copy.path = workshop.book.root(
                Origin(
                    parent.origin.source_node_id,
                    "fork",
                    exit.destination,
                    None,
                    parent.step_index + 1,
                    exit.edge_id,
                )
            )
            copies.append((copy, exit.target))
        # The stack is taken from its end: the first branch is walked to its ends before the second.
        workshop.stack.extend(reversed(copies))


def __getattr__(name: str) -> Any:
    # The executors for single tokens bring SQLAlchemy along: loaded when they are asked for.
    if name in ("GateExecutor", "GateResult"):
        return getattr(import_module("elspeth.engine.executors.gate_executor"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
