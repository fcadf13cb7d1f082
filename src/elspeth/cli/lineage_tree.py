"""A row's story as a tree: source, steps, decisions, branches, ends."""

from collections.abc import Mapping
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from elspeth.api.story import Story
from elspeth.cli.conversations import conversation
from elspeth.cli.decisions import decision_lines
from elspeth.cli.flow import Flow
from elspeth.cli.gatherings import made_of, taken_up, taken_up_at
from elspeth.cli.resource_tree import arm_call
from elspeth.cli.styles import END_STYLES, STATUS_STYLES
from elspeth.cli.text import duration, moment, place, printable, quantity, value
from elspeth.core.landscape.reading.lineage import (
    Assignment,
    Changes,
    NodeStateRecord,
    RowLineage,
    TokenLineage,
)
from elspeth.core.landscape.records import CallRecord, ErrorRecord, RunRecord

_GAP = "  "
_ASKED = "  <- asked for"
_CHANGED_WIDTH = 30
_SAID_WIDTH = 160
_KINDS: Mapping[str, str] = {"fork": "branch", "expand": "part", "join": "joined", "batch": "result"}


def run_line(run: RunRecord) -> Text:
    """Of which run the rows are."""
    line = Text.assemble(("run ", "dim"), (run.run_id, "bold"), _GAP)
    line.append(run.status, style=STATUS_STYLES.get(run.status, ""))
    return line.append(f"{_GAP}{printable(place(run.pipeline))}")


def row_tree(row: RowLineage, story: Story) -> Tree:
    """The whole story of one row, with every token that came of it."""
    return _Teller(story).row(row)


def _assignment(one: Assignment) -> RenderableType:
    """Which variant the row met, and why that one."""
    head = Text.assemble(("experiment ", "dim"), printable(one.experiment_id), ("  variant ", "dim"))
    head.append(printable(one.variant_id), style="bold")
    if one.unit is not None:
        head.append(f"{_GAP}unit {printable(one.unit)}, bucket {one.bucket}.{one.sub_bucket:02}", style="dim")
    if not one.transform_overrides:
        return head
    overrides = orjson.dumps(dict(one.transform_overrides), default=str).decode()
    return Group(head, Text(f"options {printable(overrides)}", style="dim"))


class _Teller:
    def __init__(self, story: Story) -> None:
        self._story = story

    def row(self, row: RowLineage) -> Tree:
        head = Text.assemble(("row ", "dim"), (str(row.row_index), "bold"), f"{_GAP}{printable(row.row_id)}")
        head.append(f"{_GAP}read {moment(row.created_at)}", style="dim")
        if any(token.token_id == self._story.token_id for token in row.roots):
            head.append(_ASKED, style="bold")
        tree = Tree(head, guide_style="dim")
        for token in row.roots:
            states = list(token.states)
            if token.origin is None:
                # The source's own state says no more than that the row was read.
                while states and states[0].node_id == row.source_node_id:
                    states.pop(0)
                tree.add(self._source(row, token))
            self._steps(tree, token, states)
        for one in row.assignments:
            tree.add(_assignment(one))
        return tree

    def _purged(self) -> str:
        at = self._story.purged_at
        return f"its data was purged{f' on {moment(at)}' if at else ''}; the hash stands"

    def _source(self, row: RowLineage, token: TokenLineage) -> RenderableType:
        parts: list[RenderableType] = [self._node(row.source_node_id or "source")]
        if row.source_data is None:
            parts.append(Text(self._purged(), style="yellow"))
        else:
            parts.append(_fields(row.source_data))
        parts += [_error(error) for error in token.errors if error.node_id == row.source_node_id]
        if row.source_data_hash:
            parts.append(Text(f"sha256 {row.source_data_hash}", style="dim"))
        return Group(*parts)

    def _steps(self, tree: Tree, token: TokenLineage, states: list[NodeStateRecord]) -> None:
        for state in states:
            tree.add(self._state(token, state))
        end = tree.add(self._end(token))
        for position, child in enumerate(token.children, start=1):
            self._steps(end.add(self._branch(child, position)), child, list(child.states))

    def _branch(self, token: TokenLineage, position: int) -> Text:
        kind = _KINDS.get(token.origin or "", token.origin or "token")
        name = token.branch_name if token.origin == "fork" and token.branch_name else str(position)
        if token.merge is not None:
            name = token.merge.coalesce
        label = Text.assemble((f"{kind} ", "dim"), (printable(name), "bold cyan"))
        label.append(_GAP).append_text(self._token_id(token.token_id))
        for line in made_of(token):
            label.append("\n").append_text(line)
        return label

    def _token_id(self, token_id: str) -> Text:
        if token_id == self._story.token_id:
            return Text(f"{printable(token_id)}{_ASKED}", style="bold")
        return Text(printable(token_id), style="dim")

    def _state(self, token: TokenLineage, state: NodeStateRecord) -> RenderableType:
        head = self._node(state.node_id)
        if state.attempt > 1:
            head.append(f"{_GAP}attempt {state.attempt}", style="yellow")
        if state.status != "completed":
            head.append(f"{_GAP}{state.status}", style="bold red")
        if state.duration_ms is not None:
            head.append(f"{_GAP}{duration(state.duration_ms / 1e3)}", style="dim")
        parts: list[RenderableType] = [head]
        if state.changes:
            parts += _changes(state.changes)
        here = (state.state_id, state.node_id)
        parts += [_error(error) for error in token.errors if (error.state_id, error.node_id) == here]
        parts += [_call(call) for call in token.calls if call.state_id == state.state_id]
        for decision in token.decisions:
            if decision.state_id == state.state_id:
                parts += decision_lines(decision)
        parts += [taken_up(place) for place in token.batches if taken_up_at(place, state)]
        return Group(*parts)

    def _node(self, node_id: str) -> Text:
        node = self._story.nodes.get(node_id)
        # Styles of parts, not of the whole: what is appended must not inherit them.
        label = Text().append(printable(node_id), style="bold")
        if node is None:
            return label
        plugin = "" if node.plugin_name == node.node_type else f"{printable(node.plugin_name)} "
        return label.append(f"{_GAP}{plugin}{node.node_type}", style="dim")

    def _end(self, token: TokenLineage) -> Text:
        if token.outcome is None:
            return Text("still on its way", style="cyan")
        label = Text().append(token.outcome, style=END_STYLES.get(token.outcome, "cyan"))
        if token.outcome == "COALESCED" and token.joined_into:
            return label.append(f" into {printable(token.joined_into[0])}")
        if token.children and token.outcome != "CONSUMED_IN_BATCH":
            return label.append(f" into {len(token.children)}")
        if token.sink_name is None:
            return label
        label.append(f" in {printable(token.sink_name)}")
        artifact = self._story.artifacts.get(token.sink_name)
        if artifact is None:
            return label.append("\nnot published", style="yellow")
        label.append(f"\n{printable(place(artifact.path_or_uri))}")
        if artifact.content_hash:
            # On a line of its own the hash stays whole at 80 columns, three levels deep.
            label.append(f"  sha256\n{artifact.content_hash}", style="dim")
        return label


def _fields(data: Mapping[str, Any], sign: str = "") -> Flow:
    items = []
    for name, item in data.items():
        label = Text().append(f"{sign}{printable(name)}:", style="cyan")
        items.append(label.append(f" {value(item)}"))
    return Flow(items)


def _changes(changes: Changes) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for name, (old, new) in changes.changed.items():
        line = Text().append(f"{printable(name)}:", style="cyan").append(f" {value(old, _CHANGED_WIDTH)} ")
        lines.append(line.append("→", style="yellow").append(f" {value(new, _CHANGED_WIDTH)}"))
    if changes.added:
        lines.append(_fields(changes.added, "+"))
    if changes.removed:
        lines.append(_fields(changes.removed, "-"))
    return lines


def _error(error: ErrorRecord) -> Text:
    text = Text().append(printable(error.reason.get("error", "no reason was recorded")), style="red")
    for name, item in error.reason.items():
        if name != "error" and item is not None:
            text.append(f"\n{printable(name)}: {value(item)}")
    return text.append(f"\ntaken to {printable(error.destination)}")


def _call(call: CallRecord) -> Text:
    if call.call_type == "arm":
        return arm_call(call)
    text = Text().append(f"{call.call_type} call", style="blue").append(f"{_GAP}{call.status}")
    if call.provider:
        text.append(f"{_GAP}{printable(call.provider)}")
    if call.latency_ms is not None:
        text.append(f"{_GAP}{duration(call.latency_ms / 1e3)}", style="dim")
    if call.tokens_in is not None or call.tokens_out is not None:
        text.append(f"{_GAP}{quantity(call.tokens_in or 0, 'token')} in, {call.tokens_out or 0:,} out")
    if call.cached_from:
        text.append(f"\nnot made: the answer of {printable(call.cached_from)}", style="dim")
    for label, said in conversation(call.request, call.response):
        text.append(f"\n{label}: ", style="cyan").append(value(said, _SAID_WIDTH))
    if call.error:
        text.append(f"\n{value(call.error)}", style="red")
    return text
