"""Who reads what is written: from names of connections to edges between nodes.

Default wiring, where `input` and `on_success` are left out: the *chain* is the list of transforms,
aggregations and gates without an explicit `input`, in this order. Sources feed its first node, each
node of the chain the next, the last one the default sink (the only one, or the one called
``output``). A node with an explicit `input` is outside the chain: left without `on_success`, it
feeds the node right behind it in the file if that is of the chain, else the default sink. A node
that would be fed by several nodes in this way is ambiguous.
"""

from dataclasses import dataclass, field

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.dag.graph import DISCARD, QUARANTINE, Edge
from elspeth.core.dag.problems import KeyPath, Problems, listed, meant
from elspeth.core.dag.roster import Member, Roster, branches_of
from elspeth.core.dag.wires import CONTINUE, Wire, error_wires, success_wires

OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Reader:
    """A node that reads a connection, and the setting that says so."""

    member: Member
    key: KeyPath


@dataclass(slots=True)
class Wiring:
    """The edges, and what could not be resolved (destination → setting) for hints elsewhere."""

    edges: list[Edge] = field(default_factory=list)
    unknown: dict[str, KeyPath] = field(default_factory=dict)


def wire(roster: Roster, problems: Problems) -> Wiring:
    """All edges of the pipeline; everything ambiguous, missing or unknown is a problem."""
    return _Wirer(roster, problems).wire()


class _Wirer:
    def __init__(self, roster: Roster, problems: Problems) -> None:
        self.roster = roster
        self.problems = problems
        self.readers = self._readers()
        self.chain = [s for s in roster.steps if s.input is None and s.node_type is not NodeType.COALESCE]
        self.wiring = Wiring()
        self.written: dict[str, list[Wire]] = {}
        """Connection → what writes it. Sinks and queues are written under their own names."""
        self.fed: dict[str, list[Wire]] = {}
        """Node → what feeds it by default wiring."""

    def wire(self) -> Wiring:
        wires = list(success_wires(self.roster, self.problems))
        for one in wires:
            self._place(one)
        self._check_copies()
        self._check_inputs()
        self._check_queues()
        for one in error_wires(self.roster):
            self._divert(one)
        return self.wiring

    def _readers(self) -> dict[str, list[Reader]]:
        readers: dict[str, list[Reader]] = {}
        for step in self.roster.steps:
            if step.node_type is NodeType.COALESCE:
                for step_key, connection in branches_of(step):
                    readers.setdefault(connection, []).append(Reader(step, step_key))
            elif step.input is not None:
                readers.setdefault(step.input, []).append(Reader(step, (*step.key, "input")))
        return readers

    def _place(self, one: Wire) -> None:
        """Add the edge of a wire."""
        if one.to == CONTINUE:
            target = self._next(one)
            if target is not None:
                self.fed.setdefault(target, []).append(one)
        else:
            target = self._reader_of(one)
        if target is not None:
            joins = any(s.name == target and s.node_type is NodeType.COALESCE for s in self.roster.steps)
            branch = one.to if one.mode is EdgeMode.COPY or joins else ""
            self.wiring.edges.append(Edge(one.member.name, target, one.label, one.mode, branch))

    def _reader_of(self, one: Wire) -> str | None:
        if one.to == DISCARD:
            return DISCARD
        self.written.setdefault(one.to, []).append(one)
        if one.to in self.roster.sinks or one.to in self.roster.queues:
            return one.to
        if one.to == QUARANTINE:
            return QUARANTINE
        if readers := self.readers.get(one.to):
            return readers[0].member.name
        self._unknown(one)
        return None

    def _unknown(self, one: Wire) -> None:
        self.wiring.unknown.setdefault(one.to, one.key)
        node = next((m for m in self.roster.all() if m.name == one.to), None)
        if node is not None and node.node_type is not NodeType.SOURCE:
            what = (
                f"{one.member.title} writes to '{one.to}', which is a {node.node_type} that does not read it"
            )
            fix = f"add `input: {one.to}` to {node.title}"
        else:
            what = f"{one.member.title} writes to '{one.to}', but no sink has that name and no node reads it"
            known = [*self.roster.sinks, *self.roster.queues, *self.readers]
            guess = meant(one.to, known)
            fix = f"did you mean '{guess}'?" if guess else _choice(known)
        self.problems.add(one.key, what, fix)

    def _next(self, one: Wire) -> str | None:
        """Where default wiring leads from a node; a problem if that is nowhere."""
        member = one.member
        follower: Member | None = None
        if member.node_type is NodeType.SOURCE:
            follower = self.chain[0] if self.chain else None
        elif member.node_type is not NodeType.COALESCE:
            behind = self.roster.steps[self.roster.steps.index(member) + 1 :]
            if member.input is None:
                follower = next((step for step in behind if step in self.chain), None)
            elif behind and behind[0] in self.chain:
                follower = behind[0]
        return follower.name if follower is not None else self._default_sink(one)

    def _default_sink(self, one: Wire) -> str | None:
        sinks = self.roster.sinks
        if OUTPUT in sinks:
            return OUTPUT
        candidates = [name for name in sinks if name != QUARANTINE] or list(sinks)
        if len(candidates) == 1:
            return candidates[0]
        setting, example = "on_success", f"add `on_success: {candidates[0]}`"
        if one.member.node_type is NodeType.GATE:
            setting, example = (
                "node behind it for `continue`",
                f"write `{candidates[0]}` instead of `continue`",
            )
            if one.label == CONTINUE:
                setting, example = "node behind it for the row that goes on", "write `mode: move`"
        self.problems.add(
            one.key,
            f"{one.member.title} has no {setting}, and there are several sinks: "
            f"its rows could go to {listed(candidates, 'or')}",
            f"{example}, or call one of the sinks 'output'",
        )
        return None

    def _check_copies(self) -> None:
        joins = {step.name for step in self.roster.steps if step.node_type is NodeType.COALESCE}
        seen: set[tuple[str, str, str]] = set()
        for edge in self.wiring.edges:
            way = (edge.from_node, edge.label, edge.to_node)
            if way in seen and edge.to_node not in joins:
                member = next(step for step in self.roster.steps if step.name == edge.from_node)
                self.problems.add(
                    (*member.key, "routes", edge.label),
                    f"route '{edge.label}' leads to '{edge.to_node}' twice",
                    "name each destination once",
                )
            seen.add(way)

    def _check_inputs(self) -> None:
        for name, readers in self.readers.items():
            if len(readers) > 1:
                self.problems.add(
                    readers[1].key,
                    f"connection '{name}' is read by {listed(reader.member.name for reader in readers)}, "
                    "and a row can only go to one of them",
                    "use a gate with `fork_to` to give each its own copy, or another connection",
                )
            if name in self.roster.sinks:
                self.problems.add(
                    readers[0].key,
                    f"'{name}' is a sink, and {readers[0].member.title} would read it: "
                    f"rows for '{name}' could go to either",
                    "give the connection another name",
                )
            elif name not in self.written:
                self._unwritten(name, readers[0])
            elif name not in self.roster.queues:
                self._check_fan_in(name, readers[0])
        for step in self.chain:
            self._check_fed(step)

    def _unwritten(self, name: str, reader: Reader) -> None:
        node = next((m for m in self.roster.all() if m.name == name), None)
        if node is not None and node.node_type is NodeType.QUEUE:
            return
        guess = meant(name, [*self.written, *self.roster.queues])
        if node is not None and node.node_type is not NodeType.GATE:
            fix = f"add `on_success: {name}` to {node.title}"
        elif node is not None:
            fix = f"route a label of {node.title} to a connection, and read that; or take `input` out"
        elif guess and guess not in self.roster.sinks:
            fix = f"did you mean '{guess}'?"
        else:
            thing = "branch" if reader.member.node_type is NodeType.COALESCE else "`input`"
            fix = f"write `on_success: {name}` at the node that feeds it, or take the {thing} out"
        self.problems.add(reader.key, f"{reader.member.title} reads '{name}', but nothing writes it", fix)

    def _check_fan_in(self, name: str, reader: Reader) -> None:
        writers = dict.fromkeys(one.member.name for one in self.written[name])
        if len(writers) > 1:
            self.problems.add(
                reader.key,
                f"connection '{name}' is written by {listed(writers)}, and {reader.member.title} reads it",
                f"if their rows shall come together there, say so: `queues: {{{name}: {{}}}}`",
            )

    def _check_fed(self, step: Member) -> None:
        feeding = {one.member.name: one.member for one in self.fed.get(step.name, ())}
        if not feeding:
            before = self.roster.steps[: self.roster.steps.index(step)]
            gate = next((s for s in reversed(before) if s.node_type is NodeType.GATE), None)
            fix = "add `input:` with the name of the connection that it reads"
            if gate is not None:
                fix += f", or route a label of {gate.title} to `continue`"
            self.problems.add(step.key, f"{step.title} is never reached: nothing feeds it", fix)
        elif len(feeding) > 1 and any(member.node_type is not NodeType.SOURCE for member in feeding.values()):
            self.problems.add(
                step.key,
                f"{step.title} has no `input`, and it could follow {listed(feeding, 'or')}",
                "write `on_success` at each of them; to let their rows come together, add a queue, "
                f"e.g. `queues: {{to_{step.name}: {{}}}}`, and `input: to_{step.name}` here",
            )
            # What follows from this mistake (circles, say) would only hide it.
            doubtful = {(name, step.name) for name in list(feeding)[1:]}
            self.wiring.edges = [e for e in self.wiring.edges if (e.from_node, e.to_node) not in doubtful]

    def _check_queues(self) -> None:
        for name, queue in self.roster.queues.items():
            readers = self.readers.get(name, [])
            if not readers:
                what = f"nothing reads queue '{name}'"
                self.problems.add(queue.key, what, f"add `input: {name}` to the node that it feeds")
            else:
                self.wiring.edges.append(_queue_edge(name, readers[0]))
            if name not in self.written:
                what = f"nothing writes to queue '{name}'"
                guess = meant(name, self.wiring.unknown)
                fix = (
                    f"write '{name}' where it says '{guess}'"
                    if guess
                    else f"add `on_success: {name}` to its producers"
                )
                self.problems.add(queue.key, what, fix)

    def _divert(self, one: Wire) -> None:
        """Add an error edge: errors end in sinks, nowhere else."""
        if one.to in self.roster.sinks or one.to in (DISCARD, QUARANTINE):
            self.wiring.edges.append(Edge(one.member.name, one.to, one.label, one.mode))
            return
        self.wiring.unknown.setdefault(one.to, one.key)
        known = [*self.roster.sinks, QUARANTINE, DISCARD]
        guess = meant(one.to, known)
        is_other = one.to in self.readers or any(m.name == one.to for m in self.roster.all())
        what = f"{one.label} of {one.member.title} names '{one.to}', and there is no sink of that name"
        if is_other:
            what = f"{one.label} of {one.member.title} names '{one.to}', which is not a sink"
        self.problems.add(one.key, what, f"did you mean '{guess}'?" if guess else _choice(known))


def _queue_edge(name: str, reader: Reader) -> Edge:
    joins = reader.member.node_type is NodeType.COALESCE
    return Edge(name, reader.member.name, CONTINUE, EdgeMode.MOVE, name if joins else "")


def _choice(known: list[str]) -> str:
    return "there are " + listed(dict.fromkeys(known)) if known else "add a sink of that name"
