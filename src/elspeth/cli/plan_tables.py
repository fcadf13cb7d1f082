"""What a run would do: nodes, edges, sinks, and what would be replaced."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from elspeth.api.validate import Plan, PlanSink
from elspeth.cli.flow import Flow
from elspeth.cli.tables import table
from elspeth.cli.text import place, printable, quantity


def verdict(plan: Plan) -> RenderableType:
    """That the pipeline is valid, and what its sources give."""
    counts = f"{quantity(len(plan.nodes), 'node')}, {quantity(len(plan.edges), 'edge')}"
    parts: list[RenderableType] = [
        Text.assemble(
            ("valid", "bold green"), f"  {printable(place(plan.pipeline))}  ({counts})", overflow="fold"
        )
    ]
    for source, fields in plan.schemas.items():
        shown = Table.grid(padding=(0, 2))
        shown.add_column(no_wrap=True)
        shown.add_column(overflow="fold")
        known = Flow([Text(printable(field)) for field in fields]) if fields else "fields as they come"
        shown.add_row(Text(printable(source), style="bold"), known)
        parts.append(shown)
    return Group(*parts)


def plan_details(plan: Plan) -> RenderableType:
    """The whole plan of a run."""
    parts = [verdict(plan), Text(), _nodes(plan), Text(), _edges(plan), Text(), _sinks(plan), Text()]
    if plan.depends_on:
        parts.append(Text(f"runs before  {', '.join(map(printable, plan.depends_on))}"))
    parts.append(Text(f"on record in {printable(plan.landscape)}"))
    return Group(*parts)


def _nodes(plan: Plan) -> Table:
    grid = table("node", "type", "plugin", "detail")
    for node in plan.nodes:
        grid.add_row(printable(node.node_id), node.node_type, printable(node.plugin), printable(node.detail))
    return grid


def _edges(plan: Plan) -> Table:
    grid = table("from", "label", "mode", "to")
    for edge in plan.edges:
        grid.add_row(printable(edge.from_node), printable(edge.label), edge.mode, printable(edge.to_node))
    return grid


def _sinks(plan: Plan) -> Table:
    grid = table("sink", "plugin", "writes", "")
    for sink in plan.sinks:
        writes = "\n".join(printable(place(target)) for target in sink.targets) or "–"
        grid.add_row(printable(sink.name), printable(sink.plugin), writes, _fate(sink))
    return grid


def _fate(sink: PlanSink) -> Text:
    """What would happen to the files that are there; one line per target."""
    lines = [
        "replaces it" if target in sink.overwrites
        else "adds to it" if target in sink.appends
        else "takes a free name" if Path(target).exists()
        else "new"
        for target in sink.targets
    ]  # fmt: skip
    return Text("\n".join(lines), style="yellow" if sink.overwrites else "", no_wrap=True)
