"""One routing decision: its condition, its label, and all its destinations."""

from collections.abc import Iterable, Mapping

from rich.console import RenderableType
from rich.text import Text

from elspeth.cli.text import printable, value
from elspeth.core.landscape.reading.lineage import Branch, Decision, End

_TOLD = frozenset({"condition", "result", "error"})


def decision_lines(decision: Decision) -> list[RenderableType]:
    """Why it was taken, and a line per destination: what else happened.

    A decision that follows from an error is told with the error, save for where it led.
    """
    lines: list[RenderableType] = []
    reason = decision.reason
    if isinstance(reason, Mapping):
        if "condition" in reason:
            lines.append(Text(f"if {printable(reason['condition'])}"))
        if "error" not in reason:
            lines += [
                Text(f"{printable(name)}: {value(item)}")
                for name, item in reason.items()
                if name not in _TOLD
            ]
    elif reason is not None:
        lines.append(Text(value(reason)))
    # With one destination, what follows in the tree says where it ended.
    alone = len(decision.branches) == 1
    return lines + [_way(branch, alone=alone) for branch in decision.branches]


def _way(branch: Branch, *, alone: bool) -> Text:
    event = branch.event
    text = Text().append(printable(event.label), style="magenta").append(" → ")
    text.append(printable(event.to_node_id), style="bold").append(f"  {event.mode}", style="dim")
    return text if alone else text.append(f"  {_ends(branch.ends)}", style="dim")


def _ends(ends: Iterable[End]) -> str:
    return ", ".join(
        (end.outcome or "on its way") + (f" in {printable(end.sink_name)}" if end.sink_name else "")
        for end in ends
    )
