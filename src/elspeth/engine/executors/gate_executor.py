"""One gate decision at a time, on record when `GateExecutor.execute` returns."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from elspeth.contracts.enums import EdgeMode, NodeType, RoutingKind
from elspeth.contracts.errors import UsageError
from elspeth.contracts.plugins import AnyToken
from elspeth.contracts.routing import RoutingAction
from elspeth.contracts.tokens import Token
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.stepwise.decisions import Decision
from elspeth.core.landscape.stepwise.graph import CONTINUE, NodeDraft
from elspeth.core.landscape.stepwise.making import Carried
from elspeth.core.landscape.stepwise.tokens import RecordError
from elspeth.engine.spans import SpanFactory
from elspeth.engine.token_manager import TokenManager

Part = LandscapeRecorder | LandscapeDB | TokenManager | SpanFactory | None
GATE = "gate"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What came of a decision.

    ``action`` is ``forked`` (``child_tokens`` has a token per destination, in order), ``routed``
    (the token itself went to ``destination``) or ``continued``. For a copy to one sink,
    ``destination`` is that sink and the second child is the row that goes on.
    """

    action: str
    routing_group_id: str
    state_id: str
    child_tokens: list[Token] | None = None
    destination: str | None = None


class GateExecutor:
    """Carries out gates' decisions for single tokens and records them.

    Takes a recorder, a landscape or a token manager (any one will do; without one, the
    ``landscape`` of the context is used), in any order. ``destinations`` are the names that exist:
    give them where no graph on record says so.
    """

    def __init__(
        self,
        recorder: Part = None,
        spans: Part = None,
        token_manager: Part = None,
        *,
        db: Part = None,
        landscape: Part = None,
        destinations: Collection[str] | None = None,
    ) -> None:
        parts = (recorder, spans, token_manager, db, landscape)
        self._recorder = next((found for found in map(as_recorder, parts) if found is not None), None)
        self._spans = next((part for part in parts if isinstance(part, SpanFactory)), SpanFactory())
        self._destinations = None if destinations is None else tuple(destinations)

    def execute(self, *, token: AnyToken, context: Any, routing_action: RoutingAction) -> GateResult:
        """Carry out one decision in one transaction.

        The gate is ``context.node_id``; a run, token, node or edge that is not on record yet is
        put there. A token that is moved to a sink, or to ``discard``, has ended by that; copies
        are on their way.

        Raises RecordError (a ValueError), with nothing recorded: a move with several
        destinations, none at all, one that does not exist, or a token that has ended.
        """
        action = routing_action
        decision = self._decision(action, _text(context, "node_id") or GATE)
        row = getattr(token, "row_data", None)
        carried = Carried(token.token_id, token.row_id, token.branch_name, dict(row) if row else None)
        recorder = self._recorder or as_recorder(getattr(context, "landscape", None))
        if recorder is None:
            raise UsageError("the gate executor has no landscape", fix="GateExecutor(LandscapeRecorder(db))")
        with self._spans.node_span(GATE, decision.gate.node_id, token.token_id):
            made = recorder.record_decision(carried, decision, run_id=_text(context, "run_id") or None)
        single = action.destinations[0] if len(action.destinations) == 1 else None
        if made.children:
            sink = single if action.kind is RoutingKind.ROUTE_TO_SINK else None
            return GateResult("forked", made.routing_group_id, made.state_id, list(made.children), sink)
        return GateResult(
            "routed" if single else "continued", made.routing_group_id, made.state_id, destination=single
        )

    def _decision(self, action: RoutingAction, gate: str) -> Decision:
        names, mode = list(action.destinations), action.mode
        if action.kind is RoutingKind.CONTINUE:
            if names:
                raise RecordError(
                    f"gate {gate!r}: `continue` has no destinations, this one has {', '.join(names)}",
                    fix="use route_to_sink or fork_to_paths",
                )
            names, mode = [CONTINUE], EdgeMode.MOVE
        elif not names:
            raise RecordError(f"gate {gate!r}: {action.kind} needs a destination", fix="name at least one")
        elif mode is EdgeMode.MOVE and len(names) > 1:
            raise RecordError(
                f"gate {gate!r}: a row can move to one destination only, not to {', '.join(names)}",
                fix="use mode `copy` for several",
            )
        elif mode is EdgeMode.DIVERT:
            raise RecordError(f"gate {gate!r}: a decision moves or copies; `divert` is for errors")
        self._check_known(gate, names)
        to_sink = action.kind is RoutingKind.ROUTE_TO_SINK
        if to_sink and mode is EdgeMode.COPY and len(names) == 1:
            names.append(CONTINUE)
        return Decision(NodeDraft(gate, NodeType.GATE), names, mode, action.reason, to_sink)

    def _check_known(self, gate: str, names: Collection[str]) -> None:
        known = self._destinations
        unknown = [] if known is None else [name for name in names if name not in (*known, CONTINUE)]
        if unknown:
            raise RecordError(
                f"gate {gate!r} can't send a row to {unknown[0]!r}: there is no such destination",
                fix=f"its destinations are {', '.join(sorted(known or ()))}",
            )


def as_recorder(part: object) -> LandscapeRecorder | None:
    """The recorder that something is, has, or can be given; None if it is no part of a landscape."""
    if isinstance(part, LandscapeRecorder):
        return part
    if isinstance(part, LandscapeDB):
        return LandscapeRecorder(part)
    return part.recorder if isinstance(part, TokenManager) else None


def _text(context: object, name: str) -> str:
    value = getattr(context, name, "")
    return value if isinstance(value, str) else ""
