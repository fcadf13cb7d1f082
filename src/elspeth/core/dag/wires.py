"""What each node writes to, before it is known who reads it."""

from collections.abc import Iterator
from dataclasses import dataclass

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.dag.graph import DISCARD, QUARANTINE
from elspeth.core.dag.problems import KeyPath, Problems
from elspeth.core.dag.roster import Member, Roster, gate_of

CONTINUE = "continue"
FORK = "fork"


@dataclass(frozen=True, slots=True)
class Wire:
    """One way out of a node. ``to`` is a connection or sink, `DISCARD`, or `CONTINUE`: what comes next."""

    member: Member
    label: str
    mode: EdgeMode
    to: str
    key: KeyPath


def success_wires(roster: Roster, problems: Problems) -> Iterator[Wire]:
    """The ways of rows that fare well, in order of the nodes; queues' are left out."""
    for member in (*roster.sources.values(), *roster.steps):
        if member.node_type is NodeType.GATE:
            yield from _gate_wires(member, problems)
        else:
            key = (*member.key, "on_success")
            yield Wire(member, "on_success", EdgeMode.MOVE, member.on_success or CONTINUE, key)


def error_wires(roster: Roster) -> Iterator[Wire]:
    """The ways of rows that fail; ``quarantine`` where nothing is said."""
    for member in roster.all():
        setting = _ERROR_SETTING.get(member.node_type)
        if setting is None:
            continue
        to = getattr(member.settings, setting)
        if to is None and member.name == QUARANTINE:
            continue  # a failure of the last resort stops the run
        yield Wire(member, setting, EdgeMode.DIVERT, to or QUARANTINE, (*member.key, setting))


_ERROR_SETTING = {
    NodeType.SOURCE: "on_validation_failure",
    NodeType.TRANSFORM: "on_error",
    NodeType.AGGREGATION: "on_error",
    NodeType.GATE: "on_error",
    NodeType.COALESCE: "on_error",
    NodeType.SINK: "on_write_failure",
}


def _gate_wires(member: Member, problems: Problems) -> Iterator[Wire]:
    gate = gate_of(member)
    copies = False
    for label, target in gate.routes.items():
        key = (*member.key, "routes", label)
        targets = target if isinstance(target, list) else [target]
        if len(targets) > 1:
            for index, to in enumerate(targets):
                yield Wire(member, label, EdgeMode.COPY, to, (*key, index))
        elif targets == [FORK]:
            for index, to in enumerate(gate.fork_to):
                yield Wire(member, label, EdgeMode.COPY, to, (*member.key, "fork_to", index))
        elif gate.mode is EdgeMode.MOVE or targets == [CONTINUE]:
            yield Wire(member, label, EdgeMode.MOVE, targets[0], key)
        elif targets == [DISCARD]:
            what = f"route '{label}' would discard a copy of each row, which does nothing"
            problems.add(key, what, "write `continue`, or `mode: move` to discard the row itself")
        else:
            copies = True
            yield Wire(member, label, EdgeMode.COPY, targets[0], key)
    if copies and CONTINUE not in gate.routes:
        yield Wire(member, CONTINUE, EdgeMode.COPY, CONTINUE, (*member.key, "mode"))
    _check_gate(member, copies, problems)


def _check_gate(member: Member, copies: bool, problems: Problems) -> None:
    gate = gate_of(member)
    if len(gate.fork_to) == 1:
        problems.add(
            (*member.key, "fork_to"),
            f"{member.title} forks to a single path, which is no fork",
            f"write '{gate.fork_to[0]}' in the route instead of `fork`, or add a path",
        )
    if copies and CONTINUE in gate.routes:
        problems.add(
            (*member.key, "routes", CONTINUE),
            "with `mode: copy` the label 'continue' stands for the row that goes on",
            "give the route another label",
        )
