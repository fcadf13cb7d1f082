"""Tables of runs: how one ended, which there are, how one went."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from elspeth.cli.call_tables import called
from elspeth.cli.styles import STATUS_STYLES
from elspeth.cli.tables import table
from elspeth.cli.text import duration, moment, number, place, printable, quantity, size
from elspeth.contracts.enums import TerminalState
from elspeth.core.landscape.records import ErrorGroup, RunRecord
from elspeth.core.landscape.reproducibility import Reproducibility
from elspeth.engine.result import RunResult, SinkResult

if TYPE_CHECKING:
    from elspeth.api.runs import NodeSummary, RunSummary, SinkSummary

_GRADES = {
    Reproducibility.FULL: "full: the same input gives the same output",
    Reproducibility.REPLAY: "replay: with the answers of external calls from the record",
    Reproducibility.ATTRIBUTABLE: "attributable only: the contents of rows are not on record any more",
}


def status(name: str) -> Text:
    """A run's status, coloured by how good it is."""
    return Text(name, style=STATUS_STYLES.get(name, ""))


def run_summary(result: RunResult) -> RenderableType:
    """How a run ended: one line, what became of the rows, what each sink holds."""
    rows = result.rows
    head = Text.assemble(
        ("run ", "dim"), (result.run_id, "bold"), "  ", status(result.status),
        f"  {quantity(rows.read, 'row')} in {duration(result.duration_s)}",
        _rate(rows.read, result.duration_s),
    )  # fmt: skip
    parts: list[RenderableType] = [head]
    parts += [_after(name, run_id) for name, run_id in result.depends_on.items()]
    parts += [Text(), _sink_table(result.sinks)]
    if result.outcomes:
        parts += [Text(), _outcomes(result.outcomes)]
    if result.calls:
        parts += [Text(), called(result.calls)]
    return Group(*parts)


def runs_table(runs: Iterable[RunRecord]) -> Table:
    """The runs, one per line; their ids begin with the time at which they started (UTC)."""
    grid = table("run!", "took>", "status!", "pipeline")
    for run in runs:
        grid.add_row(run.run_id, duration(run.duration_s), status(run.status), printable(place(run.pipeline)))
    return grid


def run_details(summary: "RunSummary") -> RenderableType:
    """All that is on record of one run as a whole."""
    run, counts = summary.run, summary.counts
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("run", Text(run.run_id, style="bold"))
    facts.add_row("status", status(run.status))
    facts.add_row("pipeline", printable(place(run.pipeline)))
    facts.add_row("started", f"{moment(run.started_at)}, took {duration(run.duration_s)}")
    facts.add_row("config hash", run.config_hash)
    for name, run_id in summary.depends_on.items():
        facts.add_row("after", f"{printable(place(name))}, run {run_id}")
    facts.add_row("version", f"elspeth {run.elspeth_version}, mode {run.run_mode}")
    ways = {"read": counts.read, "quarantined": counts.quarantined, "failed": counts.failed}
    facts.add_row("rows", ", ".join(f"{number(count)} {way}" for way, count in ways.items()))
    facts.add_row("repeatable", _GRADES[summary.reproducibility])
    for event in summary.history:
        if event.kind == "resumed":
            facts.add_row("resumed", moment(event.at))
            for change in event.detail.get("accepted_changes") or ():
                facts.add_row("", Text(f"accepted: {printable(str(change))}", style="yellow"))
    if summary.purge is not None:
        facts.add_row("purged", f"{moment(summary.purge.at)}: the contents of rows and calls; hashes stand")
    if counts.open:
        facts.add_row("open", f"{quantity(counts.open, 'token')} still without an end")
    if run.error:
        facts.add_row("error", Text(printable(run.error), style="red"))
    parts: list[RenderableType] = [facts, Text(), _recorded_sinks(summary.sinks), Text()]
    parts.append(_node_table(summary.nodes))
    if counts.outcomes:
        parts += [Text(), _outcomes(counts.outcomes)]
    if summary.errors:
        parts += [Text(), _error_table(summary.errors)]
    return Group(*parts)


def _after(pipeline: str, run_id: str) -> Text:
    return Text(f"after {printable(place(pipeline))}, run {run_id}", style="dim")


def _rate(rows: int, seconds: float) -> str:
    return f" ({number(round(rows / seconds))}/s)" if seconds > 0 and rows else ""


def _outcomes(outcomes: Mapping[TerminalState, int] | Mapping[str, int]) -> Text:
    line = Text("tokens  ", style="dim")
    for index, (state, count) in enumerate(outcomes.items()):
        line.append("  " if index else "", style="default")
        line.append(f"{state} {number(count)}", style="not dim default")
    return line


def _sink_table(sinks: Mapping[str, SinkResult]) -> Table:
    grid = table("sink", "rows>", "bytes>", "sha256", "path")
    for name, sink in sinks.items():
        grid.add_row(
            printable(name),
            number(sink.rows),
            size(sink.bytes),
            _digest(sink.sha256),
            _path(sink),
        )
    return grid


def _path(sink: SinkResult) -> str:
    """A sink that got nothing and has no size made no file."""
    if sink.path is None or (sink.bytes is None and not sink.rows):
        return "–"
    return printable(place(sink.path))


def _recorded_sinks(sinks: "Iterable[SinkSummary]") -> Table:
    grid = table("sink", "rows>", "bytes>", "sha256", "path")
    for item in sinks:
        artifact = item.artifact
        if artifact is None:
            grid.add_row(printable(item.sink), number(item.rows), "–", "–", "not published")
            continue
        held = SinkResult(item.rows, artifact.path_or_uri, artifact.content_hash, artifact.size_bytes)
        grid.add_row(
            printable(item.sink), number(item.rows), size(held.bytes), _digest(held.sha256), _path(held)
        )
    return grid


def _node_table(nodes: "Iterable[NodeSummary]") -> Table:
    grid = table("node", "type", "plugin", "completed>", "failed>", "mean>", "p95>")
    for item in nodes:
        timing = item.timing
        grid.add_row(
            printable(item.node.node_id),
            item.node.node_type,
            printable(item.node.plugin_name),
            number(item.states.get("completed", 0)),
            number(item.states.get("failed", 0)),
            duration(timing.mean_ms / 1e3 if timing else None),
            duration(timing.p95_ms / 1e3 if timing else None),
        )
    return grid


def _error_table(errors: Iterable[ErrorGroup]) -> Table:
    grid = table("rows>", "node", "error")
    for group in errors:
        grid.add_row(number(group.count), printable(group.node_id), printable(group.error))
    return grid


def _digest(digest: str | None) -> Text:
    return Text(f"{digest[:12]}…" if digest else "–", no_wrap=True)
