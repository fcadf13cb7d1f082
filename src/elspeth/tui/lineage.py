"""One run, and the lineage of one of its rows as a tree."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Header, Input, Static, Tree
from textual.widgets.tree import TreeNode

from elspeth.api.explain import explain
from elspeth.api.runs import show_run
from elspeth.contracts.errors import ElspethError
from elspeth.core.landscape.reading.lineage import NodeStateRecord, RowLineage, TokenLineage

LOOK_AGAIN_S = 2.0
MOST_ROWS = 10
_LONGEST = 80


class RunScreen(Screen[None]):
    """How a run went; a row's number gives its lineage."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("slash", "ask", "Find rows"),
    ]

    def __init__(self, run_id: str, database: str | None) -> None:
        super().__init__()
        self._run_id = run_id
        self._database = database
        self._goes_on = False

    def compose(self) -> ComposeResult:
        yield Header()
        yield Static("", id="summary", markup=False)
        yield Input(placeholder="a row's number, from 0, or what it holds: row['amount'] > 1000", id="row")
        yield Tree("no row", id="lineage")
        yield Footer()

    def on_mount(self) -> None:
        self._tell()
        self.set_interval(LOOK_AGAIN_S, self._tell_again)
        self._show("0")
        self.query_one("#lineage", Tree).focus()

    def _tell_again(self) -> None:
        if self._goes_on:
            self._tell()

    def _tell(self) -> None:
        """How the run stands; read again while it goes on."""
        try:
            found = show_run(self._run_id, self._database)
        except ElspethError as error:
            self.query_one("#summary", Static).update(error.what)
            return
        self._goes_on = found.run.status == "running"
        counts = found.counts
        sinks = ", ".join(f"{sink.sink} {sink.rows:,}" for sink in found.sinks)
        self.query_one("#summary", Static).update(
            f"{found.run.run_id}  {found.run.status}\n{counts.read:,} rows read, {counts.quarantined:,}"
            f" quarantined, {counts.failed:,} failed\n{sinks}"
        )

    def action_ask(self) -> None:
        """Ask for rows, by number or by what they hold."""
        self.query_one("#row", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._show(event.value.strip())

    def _show(self, asked: str) -> None:
        """A number is a row's; anything else is an expression over the rows that were read."""
        tree: Tree[None] = self.query_one("#lineage", Tree)
        tree.clear()
        row, where = (asked, None) if asked.isdigit() else (None, asked)
        try:
            found = explain(self._run_id, row=row, where=where, database=self._database, limit=MOST_ROWS)
        except ElspethError as error:
            tree.root.set_label(_plain(f"{error.what}. {error.fix}" if error.fix else error.what))
            return
        if len(found.rows) == 1:
            fill(tree.root, found.rows[0])
        else:
            tree.root.set_label(f"the first {len(found.rows)} rows that match")
            for one in found.rows:
                fill(tree.root.add(""), one)
            tree.root.expand()
        tree.focus()


def fill(top: "TreeNode[None]", row: RowLineage) -> None:
    """The row's tokens, steps and ends as branches of a tree."""
    top.set_label(_plain(f"row {row.row_index}  {row.row_id}"))
    if row.source_data is not None:
        source = top.add(_plain(f"{row.source_node_id}"))
        for name, value in row.source_data.items():
            source.add_leaf(_plain(f"{name}: {value!r}"))
    for token in row.roots:
        _token(top, token)
    for one in row.assignments:
        top.add_leaf(
            _plain(
                f"experiment {one.experiment_id}: variant {one.variant_id}, unit {one.unit},"
                f" bucket {one.bucket}"
            )
        )
    if top.is_root:
        top.expand_all()


def _token(above: "TreeNode[None]", token: TokenLineage) -> None:
    branch = f"branch {token.branch_name}" if token.branch_name else f"token {token.token_id}"
    node = above.add(_plain(branch))
    for state in token.states:
        _state(node, state)
    for error in token.errors:
        node.add_leaf(_plain(f"error at {error.node_id}: {error.reason.get('error')}"))
    where = f" in {token.sink_name}" if token.sink_name else ""
    node.add_leaf(_plain(f"{token.outcome or 'on its way'}{where}"))
    for child in token.children:
        _token(node, child)


def _state(above: "TreeNode[None]", state: NodeStateRecord) -> None:
    took = "" if state.duration_ms is None else f"  {state.duration_ms:.3g} ms"
    node = above.add(_plain(f"{state.node_id}  {state.status}{took}"))
    if state.changes is None:
        return
    for name, value in state.changes.added.items():
        node.add_leaf(_plain(f"+{name}: {value!r}"))
    for name, (before, after) in state.changes.changed.items():
        node.add_leaf(_plain(f"{name}: {before!r} → {after!r}"))
    for name in state.changes.removed:
        node.add_leaf(_plain(f"-{name}"))


def _plain(text: str) -> str:
    """Text that Textual does not take for markup, in one line."""
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return short.replace("\n", " ").replace("[", "\\[")
