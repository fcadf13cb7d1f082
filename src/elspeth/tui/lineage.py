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
from elspeth.core.landscape.lineage import NodeStateRecord, RowLineage, TokenLineage

_LONGEST = 80


class RunScreen(Screen[None]):
    """How a run went; a row's number gives its lineage."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back"),
        Binding("slash", "ask", "Row"),
    ]

    def __init__(self, run_id: str, database: str | None) -> None:
        super().__init__()
        self._run_id = run_id
        self._database = database

    def compose(self) -> ComposeResult:
        yield Header()
        yield Static("", id="summary", markup=False)
        yield Input(placeholder="number of a row, counted from 0", id="row", type="integer")
        yield Tree("no row", id="lineage")
        yield Footer()

    def on_mount(self) -> None:
        try:
            found = show_run(self._run_id, self._database)
        except ElspethError as error:
            self.query_one("#summary", Static).update(error.what)
            return
        counts = found.counts
        sinks = ", ".join(f"{sink.sink} {sink.rows:,}" for sink in found.sinks)
        self.query_one("#summary", Static).update(
            f"{found.run.run_id}  {found.run.status}\n{counts.read:,} rows read, {counts.quarantined:,}"
            f" quarantined, {counts.failed:,} failed\n{sinks}"
        )
        self._show("0")
        self.query_one("#lineage", Tree).focus()

    def action_ask(self) -> None:
        """Ask for a row."""
        self.query_one("#row", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._show(event.value)

    def _show(self, row: str) -> None:
        tree: Tree[None] = self.query_one("#lineage", Tree)
        tree.clear()
        try:
            found = explain(self._run_id, row=row, database=self._database)
        except ElspethError as error:
            tree.root.set_label(error.what)
            return
        fill(tree, found.rows[0])
        tree.focus()


def fill(tree: "Tree[None]", row: RowLineage) -> None:
    """The row's tokens, steps and ends as branches of a tree."""
    tree.root.set_label(_plain(f"row {row.row_index}  {row.row_id}"))
    if row.source_data is not None:
        source = tree.root.add(_plain(f"{row.source_node_id}"))
        for name, value in row.source_data.items():
            source.add_leaf(_plain(f"{name}: {value!r}"))
    for token in row.roots:
        _token(tree.root, token)
    for one in row.assignments:
        tree.root.add_leaf(
            _plain(
                f"experiment {one.experiment_id}: variant {one.variant_id}, unit {one.unit},"
                f" bucket {one.bucket}"
            )
        )
    tree.root.expand_all()


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
