"""A machine's story as a tree: what was done to it, by which plan, approved by whom, at what cost."""

from rich.text import Text
from rich.tree import Tree

from elspeth.api.resource import DeedStory, ResourceStory
from elspeth.cli.styles import END_STYLES
from elspeth.cli.text import duration, moment, printable, value
from elspeth.core.landscape.deeds import EventRecord
from elspeth.core.landscape.records import CallRecord, json_object

_GAP = "  "
_STYLES = {"done": END_STYLES.get("COMPLETED", ""), "failed": END_STYLES.get("FAILED", "red")}
_STATUS = {
    "running": "exists",
    "stopped": "stopped, not billed",
    "gone": "is gone",
    "never": "never came to be",
}
_HIDDEN = frozenset({"name", "action", "plan"})


def resource_tree(story: ResourceStory) -> Tree:
    """The whole story of one machine."""
    head = Text.assemble((printable(story.name), "bold"), f"{_GAP}of {printable(story.subject)}{_GAP}")
    tree = Tree(head.append(_STATUS[story.life.status], style="cyan"), guide_style="dim")
    for deed in story.deeds:
        tree.add(_deed(deed))
    tree.add(_cost(story))
    return tree


def _deed(story: DeedStory) -> Tree:
    deed = story.deed
    head = Text.assemble((printable(deed.action), "bold"), f"{_GAP}{moment(deed.started_at)}{_GAP}")
    head.append(deed.outcome, style=_STYLES.get(deed.outcome, "yellow"))
    if deed.ended_at is not None:
        head.append(f"{_GAP}{duration((deed.ended_at - deed.started_at).total_seconds())}", style="dim")
    tree = Tree(head)
    tree.add(Text(f"run {deed.run.run_id}{_GAP}{printable(deed.run.pipeline)}", style="dim"))
    if deed.facts is None:
        tree.add(Text("its data was purged; the hash stands", style="yellow"))
    else:
        facts = [f"{name}: {value(item)}" for name, item in deed.facts.items() if name not in _HIDDEN]
        tree.add(Text(printable(_GAP.join(facts))))
    if story.digest:
        tree.add(_plan(story))
    for decision in story.decisions:
        tree.add(_decision(decision))
    for error in deed.token.errors:
        tree.add(Text(printable(error.reason.get("error", "no reason was recorded")), style="red"))
    for call in deed.token.calls:
        tree.add(arm_call(call))
    return tree


def _plan(story: DeedStory) -> Text:
    line = Text.assemble(("plan ", "dim"), printable(story.digest[:16]), "…")
    if story.plan is not None:
        detail = story.plan.detail
        counts = [
            f"{len(detail[word])} {word if len(detail[word]) > 1 else word[:-1]}"
            for word in ("creates", "changes", "deletes")
            if detail.get(word)
        ]
        line.append(f"{_GAP}{', '.join(counts)}")
        if isinstance(detail.get("cost_per_hour"), int | float):
            line.append(f"{_GAP}the whole fleet ${detail['cost_per_hour']:.2f} per hour")
    return line


def _decision(event: EventRecord) -> Text:
    line = Text.assemble((printable(event.kind), "green" if event.kind == "approved" else "yellow"))
    if event.detail.get("by"):
        line.append(f" by {printable(event.detail['by'])}")
    line.append(f"{_GAP}{moment(event.at)}", style="dim")
    reason = event.detail.get("reason")
    return line.append(f"{_GAP}{printable(reason)}") if reason else line


def arm_call(call: CallRecord) -> Text:
    """One request to a cloud: what was asked of what, and the answer."""
    asked, answered = json_object(call.request), json_object(call.response)
    path = str(asked.get("path", ""))
    short = path.partition("/providers/")[2] or path
    if call.request is None:
        # Purged: what kind of request it was is not its content.
        line = Text.assemble(
            (printable(call.operation or call.call_type), "blue"), f" → {call.status}, purged"
        )
    else:
        line = Text.assemble((printable(asked.get("method", call.call_type)), "blue"), f" {printable(short)}")
        line.append(f" → {printable(answered.get('status', 'no answer'))}", style="red" if call.error else "")
    if call.attempt > 1:
        line.append(f"{_GAP}attempt {call.attempt}", style="yellow")
    if call.latency_ms is not None:
        line.append(f"{_GAP}{duration(call.latency_ms / 1e3)}", style="dim")
    if call.error:
        told = json_object(call.error)
        line.append(
            f"\n{printable(told.get('reason', ''))}: {value(told.get('error', ''), 160)}", style="red"
        )
    return line


def _cost(story: ResourceStory) -> Text:
    life = story.life
    line = Text.assemble(("cost", "bold"), _GAP)
    if not life.stretches:
        return line.append("none: it was never billed")
    parts = []
    for one in life.stretches:
        price = "an unknown price" if one.price is None else f"${one.price:g} per hour"
        span = duration(one.hours(life.told_at) * 3600)
        parts.append(f"{span} of {printable(one.size)} at {price}")
    line.append(_dollars(life.cost))
    line.append(", then ".join(parts))
    if life.status == "running":
        line.append(", and it goes on")
    return line.append("\nthe machine alone, without disks, addresses and traffic", style="dim")


def _dollars(cost: float | None) -> str:
    if cost is None:
        return "not known: "
    return f"${cost:.2f} at most: " if cost >= 0.01 else "less than a cent: "
