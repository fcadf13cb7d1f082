"""The graph of a pipeline: built from settings, and refused with reasons where it makes no sense."""

from elspeth.core.dag.build import build_graph, check_without_wires
from elspeth.core.dag.contracts import PluginSchemas, TransformSchemas
from elspeth.core.dag.graph import DISCARD, QUARANTINE, Edge, Graph, Node
from elspeth.core.dag.joins import JoinMap

__all__ = [
    "DISCARD",
    "QUARANTINE",
    "Edge",
    "Graph",
    "JoinMap",
    "Node",
    "PluginSchemas",
    "TransformSchemas",
    "build_graph",
    "check_without_wires",
]
