"""Experiments on a terminal: the list, how one goes, which variant is better."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from elspeth.api.experiments import ExperimentReport, ExperimentSummary, Flip
from elspeth.cli.run_tables import status
from elspeth.cli.tables import table
from elspeth.cli.text import number, printable
from elspeth.experiments.comparison import MetricResult
from elspeth.experiments.report import words

VERDICT_STYLES: Mapping[str, str] = {
    "better": "bold green",
    "non-inferior": "green",
    "inconclusive": "yellow",
    "worse": "bold red",
    "invalid": "bold magenta",
}


def experiment_list(found: Iterable[ExperimentSummary]) -> Table:
    """One experiment per line."""
    grid = table("experiment!", "what", "assigned rows", "runs>", "newest run!")
    for one in found:
        assigned = ", ".join(f"{printable(name)} {number(count)}" for name, count in one.assigned.items())
        what = f"{printable(one.name)}: {one.mode}, on {one.transform}"
        run = Text.assemble(one.latest_run, "\n", status(one.latest_status))
        grid.add_row(printable(one.experiment_id), what, assigned or "–", str(one.runs), run)
    return grid


def comparison(report: ExperimentReport) -> RenderableType:
    """The verdict, every metric with its interval drawn, the variants, and what has to be known."""
    found = report.analysis
    parts: list[RenderableType] = [
        Text.assemble((printable(found.experiment.name), "bold"), f"  {found.experiment.experiment_id}")
    ]
    for variant, verdict in found.comparison.verdicts.items():
        said = ("verdict on ", "dim"), f"{printable(variant)}: ", (str(verdict), VERDICT_STYLES[verdict])
        parts.append(Text.assemble(*said))
    for one in found.comparison.results:
        parts += [Text(), _metric(one)]
    parts += [Text(), _variants(report), Text(), _notes(report.notes(of_metrics=False))]
    return Group(*parts)


def standing(report: ExperimentReport) -> RenderableType:
    """Counts, exposure, sample ratio, metrics so far, and what could be found by now."""
    found = report.analysis
    assigned = ", ".join(f"{printable(name)} {number(count)}" for name, count in found.assigned.items())
    head = Text.assemble((printable(found.experiment.name), "bold"), f"  {found.experiment.experiment_id}")
    rows = Text(f"assigned rows: {assigned or 'none'}; exposure {found.experiment.exposure:g} %")
    parts: list[RenderableType] = [head, rows, Text()]
    parts += [_so_far(one) for one in found.comparison.results]
    return Group(*parts, Text(), _variants(report), Text(), _notes(report.notes(of_metrics=False)))


def _so_far(one: MetricResult) -> RenderableType:
    effect = one.estimate.effect
    head = Text.assemble(
        (printable(one.metric.name), "bold"), ("  of ", "dim"), printable(one.variant_id),
        f"  {words.value(one, one.control_value)} → {words.value(one, one.variant_value)}",
    )  # fmt: skip
    remarks = [Text(f"  {printable(remark)}", style="dim") for remark in words.remarks(one, why=True)]
    if effect is None:
        return Group(head, *remarks)
    found = [f"  {words.interval(one, effect)} so far"]
    if one.mde is not None:
        found.append(f"differences of {words.change(one, one.mde).removeprefix('+')} can be found by now")
    if one.units_needed is not None and one.units_needed > one.estimate.units:
        found.append(f"one like this needs {number(one.units_needed)} units")
    return Group(head, Text("; ".join(found)), *remarks)


def _metric(one: MetricResult) -> RenderableType:
    effect = one.estimate.effect
    star = " ★" if one.metric.primary else ""
    style = VERDICT_STYLES[one.verdict]
    head = Text.assemble(
        (f"{printable(one.metric.name)}{star}", "bold"), ("  of ", "dim"), printable(one.variant_id),
        f"  {words.value(one, one.control_value)} → {words.value(one, one.variant_value)}  ",
        (str(one.verdict), style),
    )  # fmt: skip
    lines = [head]
    if effect is not None:
        relative = words.lift(one)
        lines.append(Text(f"  {words.draw(effect)}", style=style))
        lines.append(
            Text(
                f"  {words.interval(one, effect)}{f', {relative} relative' if relative else ''},"
                f" p {words.p_value(one.p)} ({effect.method})"
            )
        )
    lines += [Text(f"  {printable(remark)}", style="dim") for remark in words.remarks(one, why=True)]
    return Group(*lines)


def _variants(report: ExperimentReport) -> Table:
    """One column per variant."""
    variants = report.analysis.totals.variants
    grid = table("!", *(f"{printable(one.variant_id)}>" for one in variants))
    for column in grid.columns[1:]:
        column.no_wrap = False  # where it is narrow, figures go on in the next line
    for name, cells in words.figures(variants):
        grid.add_row(name, *cells)
    return grid


def _notes(notes: Sequence[str]) -> Text:
    return Text("\n".join(f"· {printable(note)}" for note in notes), style="dim")


def flip_list(found: Iterable[Flip]) -> RenderableType:
    """Every disagreement with both results, and the command that tells the row's story."""
    parts: list[RenderableType] = []
    for flip in found:
        ours, theirs = (
            _shown(part, status)
            for part, status in zip((flip.control, flip.variant), flip.statuses, strict=True)
        )
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        grid.add_row("control", ours)
        grid.add_row(printable(flip.variant_id), theirs)
        if flip.winner is not None:
            won = {"control": "the control", "variant": printable(flip.variant_id), "tie": "neither"}
            grid.add_row("judge", f"prefers {won.get(flip.winner, printable(flip.winner))}")
        head = Text.assemble((f"row {number(flip.row_index)}", "bold"), ("  ", "dim"), flip.explain)
        parts += [head, grid, Text()]
    return Group(*parts[:-1])


def _shown(values: Mapping[str, Any], how: str) -> str:
    if how == "failed":
        return "failed"
    text = orjson.dumps(dict(values), default=str).decode()
    return printable(text if len(text) <= 120 else f"{text[:119]}…")
