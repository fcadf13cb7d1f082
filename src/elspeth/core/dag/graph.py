"""The graph of a pipeline: what runs, and where rows can go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.contracts.schema import PluginSchema

DISCARD = "discard"
"""The destination that rows are thrown away at; a sink node of this name is there only if used."""

QUARANTINE = "quarantine"
"""The automatic error sink; in the graph only if used, or if the pipeline defines it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node. ``node_id`` is its name in the file, unique over all kinds.

    ``config`` are its settings as plain JSON values, secrets in clear; ``settings_key`` leads to
    them in the file (``("gates", 0)``; empty for ``discard``). ``sequence`` is its place in an
    order in which every node comes behind all that feed it.
    """

    node_id: str
    node_type: NodeType
    plugin_name: str
    config: Mapping[str, Any] = field(hash=False, compare=False)
    sequence: int
    settings_key: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A way for rows. ``label`` is ``on_success``, ``on_error`` …, or the route label at a gate.

    ``branch`` is set where rows are copied, and where they come to a coalesce: the destination as
    the file names it (a connection, a sink or ``continue``), which is what a copy's token is called
    and what tells the doors of a coalesce apart. ``to_node`` may be another name: that of the node
    which reads the connection.
    """

    from_node: str
    to_node: str
    label: str
    mode: EdgeMode
    branch: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in order of flow and edges in order of their nodes; edges are unique.

    A graph from `build_graph` has no cycles, every node is fed, and every destination exists.
    ``arriving`` is what is known of the rows that come to the nodes, but for errors.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    arriving: Mapping[str, PluginSchema] = field(default_factory=dict, repr=False, compare=False)
    _by_id: Mapping[str, Node] = field(init=False, repr=False, compare=False)
    _out: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)
    _in: Mapping[str, tuple[Edge, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {node.node_id: node for node in self.nodes})
        object.__setattr__(self, "_out", _grouped((edge.from_node, edge) for edge in self.edges))
        object.__setattr__(self, "_in", _grouped((edge.to_node, edge) for edge in self.edges))

    def node(self, node_id: str) -> Node:
        """The node of that id. Raises KeyError."""
        return self._by_id[node_id]

    def out_edges(self, node_id: str) -> tuple[Edge, ...]:
        """The edges that leave a node; error edges last."""
        return self._out.get(node_id, ())

    def in_edges(self, node_id: str) -> tuple[Edge, ...]:
        """The edges that lead to a node."""
        return self._in.get(node_id, ())

    @property
    def sources(self) -> tuple[Node, ...]:
        """The nodes that rows come from."""
        return tuple(node for node in self.nodes if node.node_type is NodeType.SOURCE)

    @property
    def sinks(self) -> tuple[Node, ...]:
        """The nodes that rows end at, with ``quarantine`` and ``discard`` where they are used."""
        return tuple(node for node in self.nodes if node.node_type is NodeType.SINK)


def _grouped(pairs: Iterable[tuple[str, Edge]]) -> dict[str, tuple[Edge, ...]]:
    groups: dict[str, list[Edge]] = {}
    for key, edge in pairs:
        groups.setdefault(key, []).append(edge)
    return {key: tuple(edges) for key, edges in groups.items()}
