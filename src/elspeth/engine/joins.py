"""Which branches of a fork can still reach a coalesce: so that a lost one is noticed at once.

A fork whose exits lead to different doors of one coalesce opens a `JoinGroup` there. Every token
that comes from such an exit carries a `JoinContext`; contexts nest as forks do. The group counts
the living tokens per exit: a door that no living token can reach any more is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elspeth.engine.live import LiveToken


class Joiner(Protocol):
    """The coalesce behind a group."""

    @property
    def node_id(self) -> str: ...
    def settle(self, group: "JoinGroup") -> None: ...


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """What is known before any token comes: per exit of one route, the doors that it can reach."""

    joiner: Joiner
    doors: tuple[frozenset[str], ...]


class JoinGroup:
    """The branches of one forked token on their way to one coalesce.

    ``arrived`` maps doors to the tokens that wait there, ``alive`` counts living tokens per exit.
    ``deadline`` is a time of the engine's clock, or None. A group that is ``closed`` merges nothing
    more; ``failure`` is why it came to nothing (None while it is open, and if it was merged).
    """

    __slots__ = ("alive", "arrived", "closed", "deadline", "failure", "outer", "parent", "plan")

    def __init__(self, plan: JoinPlan, parent: LiveToken) -> None:
        self.plan = plan
        self.parent = parent
        self.outer = parent.join
        self.alive = [1] * len(plan.doors)
        self.arrived: dict[str, LiveToken] = {}
        self.deadline: int | None = None
        self.closed = False
        self.failure: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Row and number of the token that was forked: unique in a run per coalesce."""
        return self.parent.row_no, self.parent.token_no

    def reachable(self) -> frozenset[str]:
        """The doors at which a token may still arrive for the first time."""
        open_doors = (doors for doors, count in zip(self.plan.doors, self.alive, strict=True) if count > 0)
        return frozenset().union(*open_doors) - self.arrived.keys()

    def change(self, exit_index: int, by: int) -> None:
        """More (or fewer) living tokens come from this exit."""
        self.alive[exit_index] += by
        if by < 0 and not self.closed:
            self.plan.joiner.settle(self)


class JoinContext:
    """A token's membership in a group, by the exit that it came from, and the context around that."""

    __slots__ = ("exit_index", "group", "outer")

    def __init__(self, group: JoinGroup, exit_index: int, outer: "JoinContext | None") -> None:
        self.group = group
        self.exit_index = exit_index
        self.outer = outer


def leave(context: JoinContext | None, until: JoinContext | None = None) -> None:
    """A token ends, or steps out of all contexts inside ``until``."""
    while context is not None and context is not until:
        context.group.change(context.exit_index, -1)
        context = context.outer


def spread(context: JoinContext | None, children: int) -> None:
    """A token became so many tokens, which all carry its context."""
    while context is not None:
        context.group.change(context.exit_index, children - 1)
        context = context.outer


def contexts_of(parent: LiveToken, plans: Sequence[JoinPlan], exits: int) -> list[JoinContext | None]:
    """The contexts of the children of a fork, one per exit; the parent's own lives on in them.

    ``plans`` come with the coalesce furthest on first: its context is around the others.
    """
    inside = set()
    context = parent.join
    while context is not None:
        inside.add(context.group.plan.joiner)
        context = context.outer
    spread(parent.join, exits)
    contexts: list[JoinContext | None] = [parent.join] * exits
    for plan in plans:
        if plan.joiner in inside:
            continue  # the outer fork's group covers these doors
        group = JoinGroup(plan, parent)
        contexts = [
            JoinContext(group, index, outer) if plan.doors[index] else outer
            for index, outer in enumerate(contexts)
        ]
        group.alive = [1 if doors else 0 for doors in plan.doors]
    return contexts
