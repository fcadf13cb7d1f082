"""A gate's decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elspeth.contracts.enums import EdgeMode, RoutingKind


@dataclass(frozen=True, slots=True)
class RoutingAction:
    """Where a row goes, how, and why.

    ``destinations`` are connection or sink names (empty for ``continue``). ``reason`` is recorded
    with every routing event of the decision.
    """

    kind: RoutingKind
    destinations: tuple[str, ...] = ()
    mode: EdgeMode = EdgeMode.MOVE
    reason: Mapping[str, Any] = field(default_factory=dict)

    def __init__(
        self,
        kind: RoutingKind | str,
        destinations: Sequence[str] = (),
        mode: EdgeMode | str = EdgeMode.MOVE,
        reason: Mapping[str, Any] | str | None = None,
    ) -> None:
        """Plain strings are accepted for ``kind`` and ``mode``; unknown ones raise ValueError."""
        object.__setattr__(self, "kind", RoutingKind(kind))
        object.__setattr__(self, "destinations", tuple(destinations))
        object.__setattr__(self, "mode", EdgeMode(mode))
        facts = {"reason": reason} if isinstance(reason, str) else dict(reason or {})
        object.__setattr__(self, "reason", facts)
