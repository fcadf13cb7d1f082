"""Which forks can be joined where: so that a coalesce that would wait in vain is refused, not met at row 1.

A token carries the forks that it came from, innermost last, as long as a coalesce may still join
their branches. `check_joins` takes such memberships through the graph and looks at what arrives.
"""

from collections.abc import Iterable, Mapping, Sequence

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.config import CoalesceSettings, PipelineSettings
from elspeth.core.dag.graph import Edge, Graph, Node
from elspeth.core.dag.problems import Problems, listed

Doors = frozenset[str]
Open = tuple[str, ...]
"""The coalesces at which a token may be joined with its siblings, in the order in which that was decided."""


class JoinMap:
    """Where in a graph the branches of forks may meet again. The graph must be in order of flow."""

    def __init__(self, graph: Graph, settings: PipelineSettings) -> None:
        self.graph = graph
        self.joins: Mapping[str, CoalesceSettings] = {join.name: join for join in settings.coalesce}
        self.consuming = frozenset(
            step.name for step in settings.aggregations if step.output_mode == "transform"
        )
        """Aggregations whose results belong to no fork: they are made of many rows."""

    def branch(self, edge: Edge) -> str:
        """The branch whose connection leads into a coalesce by this edge."""
        branches = self.joins[edge.to_node].branches
        if isinstance(branches, dict):
            return next(branch for branch, connection in branches.items() if connection == edge.branch)
        return edge.branch

    def meetings(self, edges: Sequence[Edge]) -> list[tuple[str, tuple[Doors, ...]]]:
        """At which coalesces the copies that leave by these edges may meet, with the doors of each edge.

        They may at one of which several doors are reached, but not all of those through one edge:
        else it is a fork inside a branch, or around the fork that matters. The coalesce furthest
        on comes first: it is around the others.
        """
        reach = [self._doors_behind(edge) for edge in edges]
        found = []
        for join in dict.fromkeys(join for doors in reach for join in doors):
            doors = tuple(edge_doors.get(join, frozenset()) for edge_doors in reach)
            every: Doors = frozenset().union(*doors)
            if len(every) > 1 and every not in doors:
                found.append((join, doors))
        return sorted(found, key=lambda one: -self.graph.node(one[0]).sequence)

    def _doors_behind(self, edge: Edge) -> dict[str, Doors]:
        found: dict[str, set[str]] = {}
        seen: set[Edge] = set()
        ways = [edge]
        while ways:
            way = ways.pop()
            if way in seen or way.mode is EdgeMode.DIVERT:
                continue
            seen.add(way)
            if way.to_node in self.joins:
                found.setdefault(way.to_node, set()).add(self.branch(way))
            if way.to_node not in self.consuming:
                ways += self.graph.out_edges(way.to_node)
        return {join: frozenset(doors) for join, doors in found.items()}


def check_joins(graph: Graph, settings: PipelineSettings, problems: Problems) -> None:
    """Rows that come to a coalesce from no fork, and policies that no fork can satisfy, are problems."""
    if settings.coalesce:
        _Joins(JoinMap(graph, settings), problems).check()


class _Joins:
    def __init__(self, join_map: JoinMap, problems: Problems) -> None:
        self._map = join_map
        self._graph = join_map.graph
        self._joins = join_map.joins
        self._problems = problems
        self._open: dict[str, set[Open]] = {}
        self._reached: dict[str, list[Doors]] = {name: [] for name in self._joins}
        self._strays: dict[tuple[str, str], Edge] = {}

    def check(self) -> None:
        for node in self._graph.nodes:
            if node.node_type is NodeType.SOURCE:
                self._open[node.node_id] = {()}
            for edges in self._routes(node):
                self._leave(node, edges)
        for name, settings in self._joins.items():
            self._check_join(name, settings)

    def _routes(self, node: Node) -> Iterable[list[Edge]]:
        """The ways out of a node: one edge for a move, all edges of one decision for copies."""
        copies: dict[str, list[Edge]] = {}
        going_on: list[Edge] = []
        labels = node.config.get("routes", {})
        for edge in self._graph.out_edges(node.node_id):
            if edge.mode is EdgeMode.MOVE:
                yield [edge]
            elif edge.mode is EdgeMode.COPY and edge.label == "continue" and "continue" not in labels:
                going_on.append(edge)
            elif edge.mode is EdgeMode.COPY:
                copies.setdefault(edge.label, []).append(edge)
        for edges in copies.values():
            yield edges + (going_on if len(edges) == 1 else [])

    def _leave(self, node: Node, edges: list[Edge]) -> None:
        meeting = self._map.meetings(edges) if len(edges) > 1 else []
        for before in self._after(node):
            new = [(joiner, doors) for joiner, doors in meeting if joiner not in before]
            for joiner, doors in new:
                self._reached[joiner].append(frozenset().union(*doors))
            for index, edge in enumerate(edges):
                inside = (*before, *(joiner for joiner, doors in new if doors[index]))
                self._open.setdefault(edge.to_node, set()).add(inside)
                if edge.to_node in self._joins and edge.to_node not in inside:
                    branch = self._map.branch(edge)
                    self._strays.setdefault((edge.to_node, branch), edge)

    def _after(self, node: Node) -> set[Open]:
        """What tokens carry when they leave a node."""
        states = self._open.get(node.node_id, set())
        if node.node_id in self._joins:
            return {state[: state.index(node.node_id)] for state in states if node.node_id in state}
        if node.node_id in self._map.consuming:
            return {()} if states else set()
        return states

    def _check_join(self, name: str, settings: CoalesceSettings) -> None:
        key = self._graph.node(name).settings_key
        strays = {branch: edge for (join, branch), edge in self._strays.items() if join == name}
        batches = {branch: self._batch_before(edge.from_node) for branch, edge in strays.items()}
        for branch, batch in batches.items():
            if batch is not None:
                self._problems.add((*key, "branches"), *_from_a_batch(name, branch, batch))
        # Without a batch in between, there would perhaps be nothing wrong with the other branches.
        if strays and not any(batches.values()):
            self._problems.add((*key, "branches"), *self._stray(name, strays))
        if strays:
            return
        needed = {"require_all": len(settings.branches), "quorum": settings.quorum_count or 1}
        wanted = needed.get(settings.policy, 1)
        for doors in self._reached[name]:
            if len(doors) < wanted:
                lost = [branch for branch in settings.branches if branch not in doors]
                self._problems.add(
                    (*key, "policy"),
                    f"coalesce '{name}' needs {wanted} branches of a row, and one of the forks before it"
                    f" leads to {listed(sorted(doors))} only, never to {listed(lost, 'or')}",
                    "let one gate fork to all of them (`fork_to`), or choose `policy: best_effort`",
                )
                return

    def _stray(self, name: str, strays: Mapping[str, Edge]) -> tuple[str, str]:
        noun = "branch" if len(strays) == 1 else "branches"
        feeding = dict.fromkeys(edge.from_node for edge in strays.values())
        forks = [
            node.node_id
            for node in self._graph.nodes
            if any(edge.mode is EdgeMode.COPY for edge in self._graph.out_edges(node.node_id))
        ]
        fix = "split the row first: a gate with a route to `fork`, and `fork_to` with the branches"
        if forks:
            fix = f"let '{forks[0]}' copy the row to {listed(self._joins[name].branches)} (`fork_to`)"
        return (
            f"{noun} {listed(strays)} of coalesce '{name}': rows come from {listed(feeding)} without a"
            " fork that has sent copies to the other branches,"
            " so there is nothing that they could be joined with",
            f"{fix}; to bring rows together that take one way or another, use a queue",
        )

    def _batch_before(self, node_id: str) -> str | None:
        """The aggregation that a way back from a node comes to first."""
        ways, seen = [node_id], set()
        while ways:
            here = ways.pop(0)
            if here in seen:
                continue
            seen.add(here)
            if here in self._map.consuming:
                return here
            ways += [edge.from_node for edge in self._graph.in_edges(here)]
        return None


def _from_a_batch(name: str, branch: str, batch: str) -> tuple[str, str]:
    return (
        f"branch '{branch}' of coalesce '{name}' comes out of aggregation '{batch}', which replaces"
        " rows by the result of several: it belongs to no row whose other branches could be waiting",
        f"write `output_mode: passthrough` at '{batch}', or put it behind the coalesce",
    )
