"""``elspeth tui``: the application, its two lists, and the keys."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Header, Input, Static, TabbedContent, TabPane

from elspeth.api.experiments import list_experiments
from elspeth.api.runs import list_runs
from elspeth.contracts.errors import ElspethError
from elspeth.tui.experiment import ExperimentScreen
from elspeth.tui.lineage import RunScreen

REFRESH_S = 2.0
_OF_LISTS = ("next_list", "search", "clear", "reload")
STATUS_STYLES = {
    "completed": "green",
    "completed_with_failures": "yellow",
    "empty": "yellow",
    "running": "bold cyan",
    "interrupted": "magenta",
    "failed": "bold red",
}
MOST_RUNS = 500

KEYS = """\
[b]Keys[/b]

enter      open the run or the experiment under the cursor
tab        the next list
/          in a list: only lines that contain the text are shown; escape clears it
           in a run: a row by its number, or rows by what they hold
r          read the landscape again (it is read every two seconds anyway)
escape     back
?          this page
q          leave
"""


class KeysScreen(ModalScreen[None]):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "dismiss", "Back")]

    def compose(self) -> ComposeResult:
        yield Static(KEYS, id="keys")


class ElspethApp(App[None]):
    """Reads one landscape; writes nothing but kept totals. ``database`` None: the default one."""

    TITLE = "ELSPETH"
    CSS = """
    #search { display: none; }
    #search.shown { display: block; }
    KeysScreen { align: center middle; }
    #keys { width: auto; height: auto; padding: 1 3; border: round $accent; background: $surface; }
    #problem { color: $error; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next_list", "Next list", priority=True),
        Binding("slash", "search", "Search"),
        Binding("r", "reload", "Reload"),
        Binding("question_mark", "keys", "Keys"),
        Binding("q", "quit", "Quit"),
        Binding("escape", "clear", "Clear search", show=False),
    ]

    def __init__(self, database: str | None = None) -> None:
        super().__init__()
        self.database = database
        self._needle = ""

    def compose(self) -> ComposeResult:
        yield Header()
        with Vertical():
            yield Input(placeholder="search", id="search")
            yield Static("", id="problem", markup=False)
            with TabbedContent():
                with TabPane("Runs", id="runs-tab"):
                    yield DataTable(id="runs", cursor_type="row", zebra_stripes=True)
                with TabPane("Experiments", id="experiments-tab"):
                    yield DataTable(id="experiments", cursor_type="row", zebra_stripes=True)
        yield Footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The lists can be searched where they are shown."""
        return len(self.screen_stack) == 1 if action in _OF_LISTS else True

    def on_mount(self) -> None:
        self._table("runs").add_columns("run", "status", "took", "pipeline")
        self._table("experiments").add_columns(
            "experiment", "name", "mode", "transform", "assigned", "newest run"
        )
        self.action_reload()
        self._table("runs").focus()
        self.set_interval(REFRESH_S, self.action_reload)

    def action_reload(self) -> None:
        """Read the landscape again; the cursor stays where it is."""
        try:
            runs = list_runs(self.database, limit=MOST_RUNS)
            experiments = list_experiments(self.database)
        except ElspethError as error:
            self._problem(f"{error.what}. {error.fix}")
            return
        self._problem("")
        self._fill(
            "runs",
            [
                (run.run_id, (run.run_id, run.status, _took(run.duration_s), nearby(run.pipeline)))
                for run in runs
            ],
        )
        self._fill(
            "experiments",
            [
                (
                    one.experiment_id,
                    (
                        one.experiment_id,
                        one.name,
                        one.mode,
                        one.transform,
                        ", ".join(f"{name} {count:,}" for name, count in one.assigned.items()),
                        one.latest_status,
                    ),
                )
                for one in experiments
            ],
        )

    def action_next_list(self) -> None:
        """From the runs to the experiments, and back."""
        tabs = self.query_one(TabbedContent)
        other = "experiments" if tabs.active == "runs-tab" else "runs"
        self._table(other).focus()  # first: a tab whose table has the focus is shown again
        tabs.active = f"{other}-tab"

    def action_search(self) -> None:
        """Show the search line and go there."""
        line = self.query_one("#search", Input)
        line.add_class("shown")
        line.focus()

    def action_clear(self) -> None:
        """Show all lines again."""
        line = self.query_one("#search", Input)
        line.value = ""
        line.remove_class("shown")
        self._table(self.query_one(TabbedContent).active.removesuffix("-tab")).focus()

    def action_keys(self) -> None:
        """Show what the keys do."""
        self.push_screen(KeysScreen())

    def on_input_changed(self, event: Input.Changed) -> None:
        self._needle = event.value.casefold()
        self.action_reload()

    def on_input_submitted(self) -> None:
        active = self.query_one(TabbedContent).active.removesuffix("-tab")
        self._table(active).focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        chosen = str(event.row_key.value)
        if event.data_table.id == "runs":
            self.push_screen(RunScreen(chosen, self.database))
        elif event.data_table.id == "experiments":
            self.push_screen(ExperimentScreen(chosen, self.database))

    def _table(self, name: str) -> "DataTable[Text]":
        return self.query_one(f"#{name}", DataTable)

    def _problem(self, text: str) -> None:
        self.screen_stack[0].query_one("#problem", Static).update(text)

    def _fill(self, name: str, lines: list[tuple[str, tuple[str, ...]]]) -> None:
        table: DataTable[Text] = self.screen_stack[0].query_one(f"#{name}", DataTable)
        at = table.cursor_row
        table.clear()
        for key, cells in lines:
            if self._needle in " ".join(cells).casefold():
                table.add_row(*(Text(cell, STATUS_STYLES.get(cell, "")) for cell in cells), key=key)
        if table.row_count:
            table.move_cursor(row=min(at, table.row_count - 1))


def nearby(path: str) -> str:
    """A path as one would write it here."""
    here = f"{Path.cwd()}/"
    return path.removeprefix(here)


def _took(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"


def main(database: str | None = None) -> None:
    """Run the application until somebody leaves it."""
    ElspethApp(database).run()
