"""An explanation as a small piece of HTML, for notebooks. Everything that came from data is escaped."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from elspeth.api.story import Story
from elspeth.core.landscape.reading.lineage import (
    Changes,
    Decision,
    NodeStateRecord,
    RowLineage,
    TokenLineage,
)

_LONGEST = 200


def story_html(story: Story) -> str:
    """Each row with its data, and its tokens as nested lists."""
    rows = "".join(_row(row, story) for row in story.rows)
    more = "<p>… and further rows</p>" if story.more else ""
    run = story.run
    return f"<div><p>Run <code>{escape(run.run_id)}</code> ({escape(run.status)})</p>{rows}{more}</div>"


def _row(row: RowLineage, story: Story) -> str:
    tokens = "".join(_token(token, story) for token in row.roots)
    source = escape(row.source_node_id or "")
    return f"<h4>Row {row.row_index} of {source}</h4>{_table(row.source_data)}<ul>{tokens}</ul>"


def _table(data: Mapping[str, Any] | None) -> str:
    if data is None:
        return "<p>Its data was purged.</p>"
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{_value(value)}</td></tr>" for name, value in data.items()
    )
    return f"<table>{cells}</table>"


def _token(token: TokenLineage, story: Story) -> str:
    name = f"<code>{escape(token.token_id)}</code>"
    if token.token_id == story.token_id:
        name = f"<mark>{name}</mark>"
    branch = f" → {escape(token.branch_name)}" if token.branch_name else ""
    parts = [_state(state, token.decisions) for state in token.states]
    parts.extend(
        f"<li>error at {escape(error.node_id)}: {_value(error.reason.get('error'))} "
        f"→ {escape(error.destination)}</li>"
        for error in token.errors
    )
    parts[:0] = [f"<li>{line}</li>" for line in _gathered(token)]
    parts.append(f"<li>{_end(token, story)}</li>")
    children = "".join(_token(child, story) for child in token.children)
    below = f"<ul>{children}</ul>" if children else ""
    return f"<li>{name}{branch}<ol>{''.join(parts)}</ol>{below}</li>"


def _gathered(token: TokenLineage) -> Iterator[str]:
    """What the token was joined from, and the batches that it was in."""
    merge = token.merge
    if merge is not None:
        origins = ", ".join(f"{escape(name)} from {escape(branch)}" for name, branch in merge.origins.items())
        parents = ", ".join(f"<code>{escape(parent)}</code>" for parent in token.parents)
        yield f"joined by <b>{escape(merge.coalesce)}</b> ({escape(merge.policy)}) of {parents}: {origins}"
    for place in token.batches:
        batch = place.batch
        role = f"row {place.ordinal + 1}" if place.role == "in" else f"result {place.ordinal + 1}"
        yield (
            f"{role} of batch <code>{escape(batch.batch_id)}</code> at <b>{escape(batch.node_id)}</b>"
            f" ({escape(batch.trigger_type)}, {escape(batch.status)}): {len(batch.members)} in,"
            f" {len(batch.results)} out"
        )


def _state(state: NodeStateRecord, decisions: tuple[Decision, ...]) -> str:
    took = "" if state.duration_ms is None else f", {state.duration_ms:.3f} ms"
    attempt = f", attempt {state.attempt}" if state.attempt > 1 else ""
    made = "".join(_decision(decision) for decision in decisions if decision.state_id == state.state_id)
    return (
        f"<li><b>{escape(state.node_id)}</b> ({escape(state.status)}{attempt}{took})"
        f"{_changes(state.changes)}{made}</li>"
    )


def _changes(changes: Changes | None) -> str:
    if not changes:
        return ""
    lines = [f"+ {escape(name)} = {_value(value)}" for name, value in changes.added.items()]
    lines += [
        f"{escape(name)}: {_value(old)} → {_value(new)}" for name, (old, new) in changes.changed.items()
    ]
    lines += [f"− {escape(name)}" for name in changes.removed]
    return "".join(f"<br>{line}" for line in lines)


def _decision(decision: Decision) -> str:
    ways = []
    for branch in decision.branches:
        ends = ", ".join(
            f"{escape(end.outcome or 'open')}{' in ' + escape(end.sink_name) if end.sink_name else ''}"
            for end in branch.ends
        )
        event = branch.event
        ways.append(f"{escape(event.label)} → {escape(event.to_node_id)} ({escape(event.mode)}): {ends}")
    return f"<br>decided by {_value(decision.reason)}" + "".join(f"<br>{way}" for way in ways)


def _end(token: TokenLineage, story: Story) -> str:
    if token.outcome is None:
        return "still on its way"
    text = escape(token.outcome)
    if token.sink_name is None:
        return text
    text += f" in <b>{escape(token.sink_name)}</b>"
    artifact = story.artifacts.get(token.sink_name)
    if artifact is None:
        return text
    digest = f" (sha256 {escape(artifact.content_hash)})" if artifact.content_hash else ""
    return f"{text}: {escape(artifact.path_or_uri)}{digest}"


def _value(value: Any) -> str:
    text = repr(value)
    return escape(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
