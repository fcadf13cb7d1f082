"""One experiment with its intervals drawn, looked at again while its run goes on."""

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Header, Static

from elspeth.api.experiments import ExperimentReport, compare_experiment
from elspeth.contracts.errors import ElspethError
from elspeth.experiments.report import words

LOOK_AGAIN_S = 5.0
_COLOURS = {
    "better": "bold green",
    "non-inferior": "green",
    "inconclusive": "yellow",
    "worse": "bold red",
    "invalid": "bold magenta",
}


class ExperimentScreen(Screen[None]):
    """The comparison, as `elspeth experiment compare` has it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", "Back")]

    def __init__(self, experiment_id: str, database: str | None) -> None:
        super().__init__()
        self._experiment_id = experiment_id
        self._database = database
        self._done = False

    def compose(self) -> ComposeResult:
        yield Header()
        with VerticalScroll():
            yield Static("reading …", id="comparison")
        yield Footer()

    def on_mount(self) -> None:
        self._look()
        self.set_interval(LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        if not self._done:
            self._look()

    @work(thread=True, exclusive=True)
    def _look(self) -> None:
        """Compare, on a thread of its own: the first look at many rows takes long."""
        try:
            report = compare_experiment(self._experiment_id, self._database)
        except ElspethError as error:
            self.app.call_from_thread(self._show, Text(f"{error.what}\n{error.fix}"))
            return
        self._done = report.analysis.comparison.final
        self.app.call_from_thread(self._show, drawn(report))

    def _show(self, what: RenderableType) -> None:
        self.query_one("#comparison", Static).update(what)


def drawn(report: ExperimentReport) -> RenderableType:
    """Every metric with its interval, then what has to be known."""
    found = report.analysis
    lines = [Text(f"{found.experiment.name}  {found.experiment.experiment_id}", style="bold")]
    for variant, verdict in found.comparison.verdicts.items():
        lines.append(Text.assemble(f"verdict on {variant}: ", (str(verdict), _COLOURS[verdict])))
    for one in found.comparison.results:
        values = f"{words.value(one, one.control_value)} → {words.value(one, one.variant_value)}"
        lines.append(
            Text.assemble("\n", (one.metric.name, "bold"), f"  {one.variant_id}  {values}  ",
                          (str(one.verdict), _COLOURS[one.verdict]))
        )  # fmt: skip
        effect = one.estimate.effect
        if effect is not None:
            lines.append(Text(f"  {words.draw(effect, 61)}", style=_COLOURS[one.verdict]))
            lines.append(Text(f"  {words.interval(one, effect)}, p {words.p_value(one.p)} ({effect.method})"))
        lines += [Text(f"  {remark}", style="dim") for remark in words.remarks(one, why=True)]
    notes = Text("\n".join(f"· {note}" for note in report.notes(of_metrics=False)), style="dim")
    return Group(*lines, Text(), _variants(report), Text(), notes)


def _variants(report: ExperimentReport) -> Table:
    """What each variant did, one per column."""
    variants = report.analysis.totals.variants
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for one in variants:
        table.add_column(one.variant_id, justify="right")
    for name, cells in words.figures(variants):
        table.add_row(name, *cells)
    return table
