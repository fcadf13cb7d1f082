"""Experiments in the graph: in the place of a transform, an assigning node and one transform per variant.

The graph is built and checked as the file has it, and then varied, so that every rule of wiring holds
for the pipeline that people read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.core.config import ExperimentConfig, LoadedPipeline
from elspeth.core.dag.contracts import PluginSchemas, check_contracts
from elspeth.core.dag.flow import in_flow_order
from elspeth.core.dag.graph import Edge, Graph, Node
from elspeth.core.dag.judging import JudgedPair, Judging
from elspeth.core.dag.problems import KeyPath, Problems
from elspeth.core.expressions import Expression

EXPERIMENT = "experiment"
"""What stands for the plugin's name at the node that assigns."""

UNEXPOSED = "unexposed"
PAIRED = "paired"


@dataclass(frozen=True, slots=True)
class Variation:
    """One experiment of the file: which transform it varies, and the setting that says so.

    Node ids that an experiment adds contain ``:`` or ``@``, which no name in a file may.
    """

    experiment: ExperimentConfig
    transform: str
    key: KeyPath

    @property
    def node_id(self) -> str:
        """The node that assigns variants."""
        return f"{EXPERIMENT}:{self.experiment.experiment_id}"

    @property
    def shadow_sink(self) -> str:
        """Where the rows of shadows end, which nobody wants."""
        return f"shadow:{self.experiment.experiment_id}"

    @property
    def variants(self) -> dict[str, str]:
        """Variant id → the node at which it is at work."""
        return {
            variant.variant_id: f"{self.transform}@{variant.variant_id}"
            for variant in self.experiment.variants
        }

    @property
    def shadows(self) -> frozenset[str]:
        """The nodes whose rows go no further."""
        if self.experiment.mode != "paired":
            return frozenset()
        return frozenset(
            node for variant, node in self.variants.items() if variant != self.experiment.control_id
        )

    @property
    def judging(self) -> Judging | None:
        """The judge behind the variants, if there is one."""
        experiment = self.experiment
        if experiment.judge is None:
            return None
        pairs = tuple(
            JudgedPair(experiment.experiment_id, variant, node)
            for variant, node in self.variants.items()
            if node in self.shadows
        )
        control = self.variants[experiment.control_id]
        return Judging(experiment, control, self.shadow_sink, pairs, self.key)

    @property
    def partial(self) -> bool:
        """Whether some rows take no part."""
        return self.experiment.exposure < 100


def vary(graph: Graph, variations: Sequence[Variation]) -> Graph:
    """The graph with every experiment in its place; each must vary a transform of its own."""
    nodes = {node.node_id: node for node in graph.nodes}
    edges = list(graph.edges)
    for variation in variations:
        base = nodes[variation.transform]
        added = list(_nodes(variation, base))
        if not variation.partial:
            del nodes[variation.transform]
        nodes |= {node.node_id: node for node in added}
        edges = [edge for old in edges for edge in _edges(variation, old)] + list(_routes(variation))
    order = in_flow_order(list(nodes), edges)
    rank = {name: index for index, name in enumerate(order)}
    return Graph(
        tuple(replace(nodes[name], sequence=index) for index, name in enumerate(order)),
        tuple(sorted(edges, key=lambda edge: (rank[edge.from_node], edge.mode is EdgeMode.DIVERT))),
    )


def check_varied(
    loaded: LoadedPipeline, graph: Graph, schemas: PluginSchemas, conditions: Mapping[str, Expression]
) -> None:
    """Hold the fields that variants and unit expressions need against what comes in.

    ``conditions`` has those of gates, and the unit's expression under each experiment's node.
    Raises ConfigurationError.
    """
    problems = Problems(loaded)
    check_contracts(graph, schemas, conditions, problems)
    problems.raise_any()


def _nodes(variation: Variation, base: Node) -> Iterator[Node]:
    config = variation.experiment.model_dump(mode="json")
    yield Node(variation.node_id, NodeType.GATE, EXPERIMENT, config, 0, variation.key)
    for index, (variant_id, node_id) in enumerate(variation.variants.items()):
        overrides = variation.experiment.variants[index].transform_overrides
        options = {**base.config.get("options", {}), **overrides}
        varied = {**base.config, "options": options, "variant": variant_id}
        yield Node(node_id, base.node_type, base.plugin_name, varied, 0, (*variation.key, "variants", index))
    if variation.shadows:
        yield Node(variation.shadow_sink, NodeType.SINK, "null", {"automatic": True}, 0, variation.key)
    if variation.judging is not None:
        yield from variation.judging.nodes()


def _edges(variation: Variation, edge: Edge) -> Iterator[Edge]:
    """What becomes of an edge that was there before."""
    if edge.to_node == variation.transform:
        yield replace(edge, to_node=variation.node_id)
        return
    if edge.from_node != variation.transform:
        yield edge
        return
    if variation.partial:
        yield edge
    if edge.mode is EdgeMode.DIVERT:
        # What can't be assigned (a unit that is null) ends where the transform's errors end.
        yield replace(edge, from_node=variation.node_id)
    judging = variation.judging if edge.mode is not EdgeMode.DIVERT else None
    for node_id in variation.variants.values():
        if node_id in variation.shadows:
            if judging is None:
                yield replace(edge, from_node=node_id, to_node=variation.shadow_sink, branch="")
        elif judging is not None:
            yield from judging.leading_on(edge)
        else:
            yield replace(edge, from_node=node_id)


def _routes(variation: Variation) -> Iterator[Edge]:
    for variant_id, node_id in variation.variants.items():
        if variation.experiment.mode == "paired":
            yield Edge(variation.node_id, node_id, PAIRED, EdgeMode.COPY, variant_id)
        else:
            yield Edge(variation.node_id, node_id, variant_id, EdgeMode.MOVE)
    if variation.judging is not None:
        yield from variation.judging.edges(variation.node_id, PAIRED)
    if variation.partial:
        yield Edge(variation.node_id, variation.transform, UNEXPOSED, EdgeMode.MOVE)
