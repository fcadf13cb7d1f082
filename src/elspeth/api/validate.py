"""``validate``: is this pipeline file good, and what would it do?"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from elspeth.api.assemble import Assembled
from elspeth.api.before import prepare
from elspeth.contracts.errors import ElspethError
from elspeth.contracts.plugins import Sink, Source
from elspeth.core.html import html_table


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node of the graph; ``detail`` says what is particular about it (a gate's condition)."""

    node_id: str
    node_type: str
    plugin: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlanEdge:
    """One edge of the graph."""

    from_node: str
    to_node: str
    label: str
    mode: str


@dataclass(frozen=True, slots=True)
class PlanSink:
    """What a sink will write to, and which of that is there already: to be replaced, or written behind.

    What is there and in neither is left alone (``collision_policy: auto_increment``).
    """

    name: str
    plugin: str
    targets: tuple[str, ...]
    overwrites: tuple[str, ...]
    appends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of a valid pipeline would do. ``schemas`` are the sources' fields, as far as known.

    ``depends_on`` are the pipelines that run before.
    """

    pipeline: str
    nodes: tuple[PlanNode, ...]
    edges: tuple[PlanEdge, ...]
    sinks: tuple[PlanSink, ...]
    schemas: Mapping[str, tuple[str, ...]]
    landscape: str
    depends_on: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """What a run would do, for notebooks."""
        nodes = [(node.node_id, node.node_type, node.plugin, node.detail) for node in self.nodes]
        edges = [(edge.from_node, edge.label, edge.mode, edge.to_node) for edge in self.edges]
        sinks = [
            (sink.name, ", ".join(sink.targets), "replaces it" if sink.overwrites else "")
            for sink in self.sinks
        ]
        return (
            f"<div><p><code>{escape(self.pipeline)}</code> is valid</p>"
            f"{html_table(('node', 'type', 'plugin', 'detail'), nodes)}"
            f"{html_table(('from', 'label', 'mode', 'to'), edges)}"
            f"{html_table(('source', 'fields'), ((name, ', '.join(f)) for name, f in self.schemas.items()))}"
            f"{html_table(('sink', 'writes', ''), sinks)}</div>"
        )


def validate(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Plan:
    """Check a pipeline file as thoroughly as can be without running it, and say what it would do.

    Reads the head of each input (to show what the columns are); writes nothing. Raises
    ConfigurationError with every problem, each with its place and a remedy.
    """
    return plan_of(prepare(path, environ=environ).assembled)


def plan_of(assembled: Assembled) -> Plan:
    """The plan of a pipeline that was assembled."""
    graph, assembly = assembled.graph, assembled.assembly
    clean = assembled.redactor.text
    conditions = {name: clean(expression.text) for name, expression in assembly.conditions.items()}
    return Plan(
        pipeline=assembly.pipeline,
        nodes=tuple(
            PlanNode(node.node_id, node.node_type, node.plugin_name, conditions.get(node.node_id, ""))
            for node in graph.nodes
        ),
        edges=tuple(PlanEdge(edge.from_node, edge.to_node, edge.label, edge.mode) for edge in graph.edges),
        sinks=tuple(_sink(name, sink) for name, sink in assembly.sinks.items()),
        schemas={name: _fields(source) for name, source in assembly.sources.items()},
        landscape=clean(assembled.landscape_url),
        depends_on=tuple(assembled.loaded.settings.depends_on),
    )


def _sink(name: str, sink: Sink) -> PlanSink:
    targets = tuple(sink.targets())
    there = tuple(target for target in targets if Path(target).exists())
    policy = getattr(getattr(sink, "options", None), "policy", "overwrite")
    replaced = there if policy == "overwrite" else ()
    return PlanSink(name, sink.name, targets, replaced, there if policy == "append_or_create" else ())


def _fields(source: Source) -> tuple[str, ...]:
    try:
        seen = source.preview_schema()
    except (ElspethError, OSError):  # a pipeline that runs before is yet to make it
        seen = source.output_schema
    return tuple(str(spec) for spec in seen.fields)
