"""Which branches of a fork can still reach a coalesce: so that a lost one is noticed at once.

A fork whose exits lead to different doors of one coalesce opens a `JoinGroup` there. Every token
that comes from such an exit carries a `JoinContext`; contexts nest as forks do. The group counts
the living tokens per exit: a door that no living token can reach any more is lost.
"""

from collections.abc import Sequence

from elspeth.engine.live import JoinContext, JoinGroup, JoinPlan, LiveToken


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
