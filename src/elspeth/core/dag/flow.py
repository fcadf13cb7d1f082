"""The shape of the whole: circles, sinks that nothing reaches, and the order of flow."""

from collections.abc import Iterable, Mapping, Sequence

from elspeth.contracts.enums import EdgeMode
from elspeth.core.dag.graph import Edge
from elspeth.core.dag.problems import Problems, meant
from elspeth.core.dag.roster import Roster
from elspeth.core.dag.wiring import Wiring


def check_circles(roster: Roster, edges: Sequence[Edge], problems: Problems) -> None:
    """Every circle of rows, and every circle of failed writes, is a problem (each circle once)."""
    members = {member.name: member for member in roster.all()}
    diverts = [edge for edge in edges if edge.mode is EdgeMode.DIVERT and edge.from_node in roster.sinks]
    for circle in circles([edge for edge in edges if edge.mode is not EdgeMode.DIVERT]):
        problems.add(
            members[circle[0]].key,
            f"rows would go round in a circle: {' → '.join(circle)}",
            f"let '{circle[-2]}' write to a sink or to a node further on",
        )
    for circle in circles(diverts):
        problems.add(
            (*members[circle[0]].key, "on_write_failure"),
            f"failed writes would go round in a circle: {' → '.join(circle)}",
            "write `on_write_failure: discard` at one of them, or leave it out for the automatic quarantine",
        )


def circles(edges: Iterable[Edge]) -> list[list[str]]:
    """One circle per group of nodes that lead to each other, as the names on it, first repeated last."""
    following: dict[str, list[str]] = {}
    for edge in edges:
        following.setdefault(edge.from_node, []).append(edge.to_node)
    found: list[list[str]] = []
    finished: set[str] = set()
    for start in following:
        if start not in finished:
            _descend(start, following, finished, found)
    return found


def _descend(
    start: str, following: Mapping[str, list[str]], finished: set[str], found: list[list[str]]
) -> None:
    path = [start]
    on_path = {start}
    pending = [iter(following.get(start, ()))]
    while pending:
        name = next(pending[-1], None)
        if name is None:
            pending.pop()
            done = path.pop()
            on_path.discard(done)
            finished.add(done)
        elif name in on_path:
            circle = [*path[path.index(name) :], name]
            if not any(set(circle) & set(known) for known in found):
                found.append(circle)
        elif name not in finished:
            path.append(name)
            on_path.add(name)
            pending.append(iter(following.get(name, ())))


def check_sinks(roster: Roster, wiring: Wiring, export: str | None, problems: Problems) -> None:
    """A sink that nothing can ever arrive at is a problem."""
    reached = {edge.to_node for edge in wiring.edges} | {export}
    for name, sink in roster.sinks.items():
        if name in reached:
            continue
        guess = meant(name, wiring.unknown)
        if guess and meant(guess, roster.sinks) == name:
            continue  # one mistake, one message: where the name is misspelt, it says which was meant
        fix = f"write '{name}' where it says '{guess}'" if guess else "route rows to it, or take it out"
        problems.add(sink.key, f"no row can ever arrive at sink '{name}'", fix)


def in_flow_order(names: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """``names`` so that each comes behind all that lead to it; otherwise as they were. No circles allowed."""
    waiting = dict.fromkeys(names, 0)
    for edge in edges:
        waiting[edge.to_node] += 1
    following: dict[str, list[str]] = {}
    for edge in edges:
        following.setdefault(edge.from_node, []).append(edge.to_node)
    rank = {name: index for index, name in enumerate(names)}
    ready = [name for name in names if not waiting[name]]
    ordered: list[str] = []
    while ready:
        name = min(ready, key=rank.__getitem__)
        ready.remove(name)
        ordered.append(name)
        for behind in following.get(name, ()):
            waiting[behind] -= 1
            if not waiting[behind]:
                ready.append(behind)
    assert len(ordered) == len(names)
    return ordered
