"""Everything that a run needs, built and checked; and the linked steps that the engine makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elspeth.contracts.enums import EdgeMode, NodeType
from elspeth.contracts.judging import FAILED
from elspeth.contracts.plugins import (
    BatchTransform,
    ConcurrentTransform,
    PluginContext,
    Row,
    Sink,
    Source,
    Transform,
)
from elspeth.core.config import PipelineSettings
from elspeth.core.dag import EXPERIMENT, UNEXPOSED, Edge, Graph, JoinMap
from elspeth.core.expressions import Expression
from elspeth.core.landscape.variants.marks import RunVariant, number_variants
from elspeth.engine.executors.aggregation import AggregationStep
from elspeth.engine.executors.coalesce import CoalesceStep, Door
from elspeth.engine.executors.concurrent import ConcurrentStep, Flights, Inbox
from elspeth.engine.executors.experiment import ExperimentPlan, ExperimentStep
from elspeth.engine.executors.gate import Exit, GateStep, Route
from elspeth.engine.executors.outcomes import Outcomes
from elspeth.engine.executors.sightings import JudgedExit, Lookout, VariantErrorExit, VariantOutcomes
from elspeth.engine.executors.sink import SinkStep
from elspeth.engine.executors.source import SourceStep
from elspeth.engine.executors.transform import TransformStep
from elspeth.engine.live import JoinPlan, LiveToken
from elspeth.engine.retry import Retry
from elspeth.engine.steps import Discard, ErrorExit, Step, Workshop

QUARANTINE = "quarantine"
DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Assembly:
    """A pipeline whose plugins are made and whose graph is valid.

    ``conditions`` are those of gates and of aggregations' triggers, by node. ``settings`` and
    ``node_configs`` are what goes on record: JSON-able, secrets already replaced.
    ``envelopes`` names the sinks that get the error and the whole row instead of the row alone.
    ``experiments`` are those that are at work, by the node that assigns; ``judged`` has the nodes whose
    outcomes are judgements of a variant, each with the node that assigns and the variant's id.
    """

    graph: Graph
    sources: Mapping[str, Source]
    transforms: Mapping[str, Transform]
    aggregations: Mapping[str, BatchTransform]
    sinks: Mapping[str, Sink]
    conditions: Mapping[str, Expression]
    pipeline_settings: PipelineSettings
    settings: Mapping[str, Any]
    node_configs: Mapping[str, Mapping[str, Any]]
    config_hash: str
    pipeline: str = ""
    envelopes: frozenset[str] = field(default_factory=frozenset)
    experiments: Mapping[str, ExperimentPlan] = field(default_factory=dict)
    judged: Mapping[str, tuple[str, str]] = field(default_factory=dict)


Holding = AggregationStep | CoalesceStep


@dataclass(frozen=True, slots=True)
class Machine:
    """An assembly as linked steps.

    ``holding`` are the steps that keep tokens back, in order of flow, ``concurrent`` those that have
    many in flight, all of which ``flights`` knows; ``timed``: something may have to be done when no
    row comes. ``commit_rows``: the rows after which a group is committed even if it is small,
    ``commit_batches``: so it is after every batch. ``experiments`` assign variants, ``lookouts`` watch them.
    """

    sources: Mapping[str, SourceStep]
    sinks: Mapping[str, SinkStep]
    contexts: Mapping[str, PluginContext]
    holding: tuple[Holding, ...]
    concurrent: tuple[ConcurrentStep, ...]
    flights: Flights
    timed: bool
    commit_rows: int | None = None
    commit_batches: bool = False
    experiments: tuple[ExperimentStep, ...] = ()
    lookouts: tuple[Lookout, ...] = ()


def edge_ids(graph: Graph, run_id: str) -> dict[Edge, str]:
    """The id of each edge in one run."""
    return {edge: f"{run_id}-e{number}" for number, edge in enumerate(graph.edges)}


def link(assembly: Assembly, workshop: Workshop, landscape: Any) -> Machine:
    """Make the step of every node and join them along the edges of the graph."""
    return _Linker(assembly, workshop, landscape).link()


class _Linker:
    def __init__(self, assembly: Assembly, workshop: Workshop, landscape: Any) -> None:
        self._assembly = assembly
        self._graph = assembly.graph
        self._workshop = workshop
        self._joins = JoinMap(assembly.graph, assembly.pipeline_settings)
        self._edge_ids = edge_ids(assembly.graph, workshop.run_id)
        self._retry = Retry(assembly.pipeline_settings.retry)
        self._discard = Discard(workshop)
        self._sinks: dict[str, SinkStep] = {}
        self._steps: dict[str, Step] = {}
        self._coalesces: dict[str, CoalesceStep] = {}
        self._routes: list[tuple[Route, list[Edge]]] = []
        self._holding: list[Holding] = []
        self._concurrent: list[ConcurrentStep] = []
        self._inbox = Inbox()
        self._experiments: list[ExperimentStep] = []
        self._lookouts: dict[str, Lookout] = {}
        self._watched: dict[str, tuple[Lookout, int]] = {}
        self._variant_nos = self._number_variants(landscape)
        for node_id, plan in assembly.experiments.items():
            nodes = list(plan.variants.values())
            lookout = Lookout(workshop, landscape.db, plan.experiment.experiment_id, nodes, plan.tally)
            self._lookouts[node_id] = lookout
            self._watched |= {node: (lookout, index) for index, node in enumerate(nodes)}
        self._judged = {
            node: (self._lookouts[assigning], variant)
            for node, (assigning, variant) in assembly.judged.items()
        }
        self._contexts = {
            node.node_id: PluginContext(landscape=landscape, run_id=workshop.run_id, node_id=node.node_id)
            for node in self._graph.nodes
        }

    def link(self) -> Machine:
        for node_id, plugin in self._assembly.sinks.items():
            sink = SinkStep(self._workshop, node_id, plugin, self._contexts[node_id])
            if node_id in self._assembly.envelopes:
                sink.envelope = error_envelope
            self._sinks[node_id] = self._steps[node_id] = sink
        for node_id, sink in self._sinks.items():
            sink.on_failure = self._error_exit(node_id)
        sources = {node_id: self._source(node_id) for node_id in self._assembly.sources}
        self._plan_joins()
        order = {node.node_id: node.sequence for node in self._graph.nodes}
        holding = tuple(sorted(self._holding, key=lambda step: order[step.node_id]))
        settings = self._assembly.pipeline_settings
        timed = any(item.timeout_seconds is not None for item in settings.coalesce) or any(
            item.trigger.timeout_seconds is not None or item.trigger.condition is not None
            for item in settings.aggregations
        )
        concurrent = tuple(sorted(self._concurrent, key=lambda step: order[step.node_id]))
        for sink in self._sinks.values():
            sink.ordered = bool(concurrent)
        flights = Flights(concurrent, self._inbox)
        timed = timed or bool(concurrent)
        checkpoint = settings.checkpoint
        rows = 1 if checkpoint.frequency == "every_row" else checkpoint.checkpoint_interval
        batches = checkpoint.frequency == "aggregation_only"
        return Machine(
            sources, self._sinks, self._contexts, holding, concurrent, flights, timed, rows, batches,
            tuple(self._experiments), tuple(self._lookouts.values()),
        )  # fmt: skip

    def _source(self, node_id: str) -> SourceStep:
        (edge,) = self._moves(node_id)
        failed = self._error_exit_of(node_id)
        return SourceStep(self._workshop, node_id, self._edge_ids[edge], self._behind(edge), failed)

    def _behind(self, edge: Edge) -> Step:
        if edge.to_node != DISCARD and self._graph.node(edge.to_node).node_type is NodeType.COALESCE:
            return Door(self._coalesce(edge.to_node), self._joins.branch(edge))
        return self._step(edge.to_node)

    def _coalesce(self, node_id: str) -> CoalesceStep:
        step = self._coalesces.get(node_id)
        if step is None:
            (edge,) = self._moves(node_id)
            step = CoalesceStep(self._workshop, self._joins.joins[node_id], self._edge_ids[edge])
            self._coalesces[node_id] = step
            self._holding.append(step)
            step.following = self._behind(edge)
            step.failed = self._error_exit_of(node_id)
        return step

    def _aggregation(self, node_id: str) -> AggregationStep:
        (edge,) = self._moves(node_id)
        settings = next(
            item for item in self._assembly.pipeline_settings.aggregations if item.name == node_id
        )
        step = AggregationStep(
            self._workshop,
            settings,
            self._assembly.aggregations[node_id],
            self._contexts[node_id],
            self._edge_ids[edge],
            self._assembly.conditions.get(node_id),
        )
        self._steps[node_id] = step
        self._holding.append(step)
        step.following = self._behind(edge)
        step.failed = self._error_exit_of(node_id)
        return step

    def _plan_joins(self) -> None:
        """Tell every fork at which coalesces its branches may meet again."""
        for route, edges in self._routes:
            route.joins = tuple(
                JoinPlan(self._coalesce(join), doors) for join, doors in self._joins.meetings(edges)
            )

    def _step(self, node_id: str) -> Step:
        if node_id == DISCARD:
            return self._discard
        step = self._steps.get(node_id)
        if step is not None:
            return step
        kind = self._graph.node(node_id).node_type
        if kind is NodeType.QUEUE:
            # A queue only joins edges: its tokens are in its consumer's hands at once.
            (edge,) = self._moves(node_id)
            step = self._steps[node_id] = self._behind(edge)
            return step
        if kind is NodeType.AGGREGATION:
            return self._aggregation(node_id)
        if self._graph.node(node_id).plugin_name == EXPERIMENT:
            return self._experiment(node_id)
        return self._gate(node_id) if kind is NodeType.GATE else self._transform(node_id)

    def _transform(self, node_id: str) -> Step:
        (edge,) = self._moves(node_id)
        plugin, ctx = self._assembly.transforms[node_id], self._contexts[node_id]
        step: TransformStep | ConcurrentStep
        waits = isinstance(plugin, ConcurrentTransform)
        kind = VariantOutcomes if node_id in self._watched else Outcomes
        outcomes = kind(self._workshop, node_id, self._edge_ids[edge], waits=waits)
        if isinstance(plugin, ConcurrentTransform):
            step = ConcurrentStep(self._workshop, plugin, ctx, outcomes, self._retry, self._inbox)
            self._concurrent.append(step)
        else:
            step = TransformStep(self._workshop, plugin, ctx, outcomes, self._retry)
        self._steps[node_id] = step
        outcomes.following = self._behind(edge)
        outcomes.failed = self._error_exit_of(node_id)
        if isinstance(outcomes, VariantOutcomes):
            outcomes.watch(*self._watched[node_id])
        if node_id in self._judged:
            outcomes.following = JudgedExit(*self._judged[node_id], outcomes.following)
        return step

    def _gate(self, node_id: str) -> GateStep:
        condition = self._assembly.conditions[node_id]
        step = GateStep(self._workshop, node_id, condition)
        self._steps[node_id] = step
        edges: dict[str, list[Edge]] = {}
        for edge in self._graph.out_edges(node_id):
            if edge.mode is not EdgeMode.DIVERT:
                edges.setdefault(edge.label, []).append(edge)
        going_on = edges.pop("continue", []) if "continue" not in self._labels(node_id) else []
        for label, group in edges.items():
            copies = group[0].mode is EdgeMode.COPY
            leaving = [*group, *(going_on if copies and len(group) == 1 else ())]
            reason = {"condition": self._workshop.redactor.text(condition.text), "result": label}
            route = Route(node_id, [self._exit(edge) for edge in leaving], group[0].mode, reason)
            step.routes[label] = route
            if copies:
                self._routes.append((route, leaving))
        step.failed = self._error_exit_of(node_id)
        if node_id in self._judged:
            unpaired = step.routes["false"]
            assert unpaired.target is not None
            unpaired.target = JudgedExit(*self._judged[node_id], unpaired.target)
        return step

    def _number_variants(self, landscape: Any) -> Mapping[RunVariant, int]:
        wanted = [one for plan in self._assembly.experiments.values() for one in plan.recorded()]
        if not wanted:
            return {}
        numbers, new = number_variants(landscape.db, self._workshop.run_no, wanted)
        for row in new:
            self._workshop.pending.put("experiment_variants", row)
        return numbers

    def _experiment(self, node_id: str) -> ExperimentStep:
        plan = self._assembly.experiments[node_id]
        numbers = [self._variant_nos[variant] for variant in plan.recorded()]
        step = ExperimentStep(self._workshop, plan, numbers, self._lookouts[node_id])
        self._experiments.append(step)
        self._steps[node_id] = step
        edges = {edge.to_node: edge for edge in self._moves(node_id)}
        named = {"experiment": plan.experiment.experiment_id, "phase": plan.phase}
        if plan.experiment.mode == "paired":
            copies = [edge for edge in self._moves(node_id) if edge.mode is EdgeMode.COPY]
            exits = [self._exit(edge) for edge in copies]
            route = Route(node_id, exits, EdgeMode.COPY, {**named, "variants": list(plan.variants)})
            self._routes.append((route, copies))
            step.variants = [route] * len(plan.variants)
        else:
            for variant, node in plan.variants.items():
                way = [self._exit(edges[node])]
                step.variants.append(Route(node_id, way, EdgeMode.MOVE, {**named, "variant": variant}))
        for edge in edges.values():
            if edge.label == UNEXPOSED and edge.to_node not in plan.variants.values():
                step.unexposed = Route(node_id, [self._exit(edge)], EdgeMode.MOVE, {**named, "variant": None})
        step.failed = self._error_exit_of(node_id)
        return step

    def _labels(self, node_id: str) -> frozenset[str]:
        return frozenset(self._graph.node(node_id).config.get("routes", ()))

    def _exit(self, edge: Edge) -> Exit:
        return Exit(self._edge_ids[edge], edge.branch or edge.to_node, self._behind(edge))

    def _moves(self, node_id: str) -> list[Edge]:
        return [edge for edge in self._graph.out_edges(node_id) if edge.mode is not EdgeMode.DIVERT]

    def _error_exit_of(self, node_id: str) -> ErrorExit:
        failed = self._error_exit(node_id)
        assert failed is not None, f"the graph gives {node_id} no way for errors"
        return failed

    def _error_exit(self, node_id: str) -> ErrorExit | None:
        for edge in self._graph.out_edges(node_id):
            if edge.mode is EdgeMode.DIVERT:
                kind = VariantErrorExit if node_id in self._watched else ErrorExit
                target = self._behind(edge)
                if node_id in self._judged:
                    target = JudgedExit(*self._judged[node_id], target, said=FAILED)
                return kind(self._workshop, node_id, self._edge_ids[edge], edge.to_node, target)
        return None


def error_envelope(token: LiveToken) -> Row:
    """What the automatic quarantine sink writes: the error and the whole row."""
    return {
        "run_id": token.run_id,
        "row_id": token.row_id,
        "token_id": token.token_id,
        "row_index": token.row_no,
        "error": token.error,
        "row": token.row,
    }
