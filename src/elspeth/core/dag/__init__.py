"""The graph of a pipeline: built from settings, and refused with reasons where it makes no sense."""

from elspeth.core.dag.build import build_graph, check_without_wires
from elspeth.core.dag.contracts import PluginSchemas, TransformSchemas
from elspeth.core.dag.graph import DISCARD, QUARANTINE, Edge, Graph, Node
from elspeth.core.dag.joins import JoinMap
from elspeth.core.dag.judging import Judging
from elspeth.core.dag.variants import EXPERIMENT, UNEXPOSED, Variation, check_varied, vary

__all__ = [
    "DISCARD",
    "EXPERIMENT",
    "QUARANTINE",
    "UNEXPOSED",
    "Edge",
    "Graph",
    "JoinMap",
    "Judging",
    "Node",
    "PluginSchemas",
    "TransformSchemas",
    "Variation",
    "build_graph",
    "check_varied",
    "check_without_wires",
    "vary",
]
