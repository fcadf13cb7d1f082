"""What nodes have to remember from one commit to the next, as it is stored and as it is restored."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from elspeth.engine.assembly import Machine
from elspeth.engine.executors.aggregation import AggregationStep
from elspeth.engine.live import JoinContext, JoinGroup, LiveToken
from elspeth.engine.steps import Workshop


def waiting_row(workshop: Workshop, token: LiveToken, ordinal: int) -> tuple[Any, ...]:
    """The record of a token that waits, for the table ``waiting_tokens``."""
    held = workshop.waiting[token]
    joins = orjson.dumps(_chain(held.join)).decode()
    return (
        workshop.run_no,
        token.row_no,
        token.token_no,
        ordinal,
        held.node_id,
        held.branch,
        token.path.step_index,
        joins,
    )


def _chain(context: JoinContext | None) -> list[list[Any]]:
    """The groups that a context stands for, innermost first: coalesce, row and number of the fork, exit."""
    found = []
    while context is not None:
        group = context.group
        found.append([group.plan.joiner.node_id, *group.key, context.exit_index])
        context = context.outer
    return found


def node_states(workshop: Workshop, machine: Machine) -> Mapping[str, Any]:
    """All that is not in the waiting tokens themselves; empty where nothing waits.

    Times are microseconds since 1970: the engine's own clock starts anew with each process.
    """
    if not workshop.waiting and not workshop.batches:
        return {}
    epoch = workshop.clock.epoch_ns
    groups = {(group.plan.joiner.node_id, *group.key): group for group in _open_groups(workshop)}
    return {
        "batches": workshop.batches,
        "aggregations": {
            step.node_id: (step.since + epoch) // 1000
            for step in machine.holding
            if isinstance(step, AggregationStep) and step.waiting
        },
        "groups": [_group_state(group, epoch) for group in groups.values()],
    }


def _open_groups(workshop: Workshop) -> Iterable[JoinGroup]:
    for held in workshop.waiting.values():
        context = held.join
        while context is not None:
            yield context.group
            context = context.outer


def _group_state(group: JoinGroup, epoch: int) -> dict[str, Any]:
    parent = group.parent
    return {
        "coalesce": group.plan.joiner.node_id,
        "parent": list(group.key),
        "doors": [sorted(doors) for doors in group.plan.doors],
        "alive": group.alive,
        "closed": group.closed,
        "failure": group.failure,
        "deadline": None if group.deadline is None else (group.deadline + epoch) // 1000,
        "source": parent.path.origin.source_node_id,
        "branch": parent.branch_name,
        "last_child": parent.last_number,
        "outer": _chain(group.outer),
    }
