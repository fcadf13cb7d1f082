"""A run's external calls, for people."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Group, RenderableType
from rich.text import Text

from elspeth.cli.tables import table
from elspeth.cli.text import duration, number, printable, quantity, value

if TYPE_CHECKING:
    from elspeth.core.landscape.calls.summary import CallSummary

_ERROR_WIDTH = 60
_SHOWN_DRIFTS = 5


def called(nodes: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """What a run's calls came to, one line per node; and what has changed, where a run was verified."""
    lines = []
    for node_id, node in nodes.items():
        line = Text.assemble(("calls  ", "dim"), printable(node_id))
        answered = number(node["calls_succeeded"])
        made = f"{number(node['calls'])} made, {answered} answered"
        line.append(f"  {made if node['live'] else f'{answered} answered from the record, none made'}")
        line.append(f"  {number(node['tokens_in'] + node['tokens_out'])} tokens", style="dim")
        if node["cost"]:
            line.append(f"  cost {node['cost']:.6g}")
        if node.get("calls_cached"):
            line.append(f"  {number(node['calls_cached'])} from the cache")
        if node["calls_reused"]:
            line.append(f"  {number(node['calls_reused'])} taken from the record")
        lines.append(line)
        if node["drifted"]:
            changed = f"  {quantity(node['drifted'], 'answer')} unlike the earlier run's"
            lines.append(Text(changed, style="yellow"))
        lines += [
            Text(f"    {printable(drift['place'])}: {value(drift['changes'], _ERROR_WIDTH * 2)}")
            for drift in node["drift"][:_SHOWN_DRIFTS]
        ]
    return Group(*lines)


def call_details(summary: "CallSummary") -> RenderableType:
    """Totals by provider and status, then the slowest, the dearest and the failed."""
    if not summary.totals:
        return Text("\nno external calls are on record")
    grid = table("provider", "status", "calls>", "tokens in>", "out>", "cost>", "mean>")
    for one in summary.totals:
        cost = "–" if one.cost is None else f"{one.cost:.6g}"
        mean = duration(None if one.mean_ms is None else one.mean_ms / 1e3)
        grid.add_row(
            printable(one.provider or "–"), one.status, number(one.calls), number(one.tokens_in),
            number(one.tokens_out), cost, mean,
        )  # fmt: skip
    parts: list[RenderableType] = [Text(), grid]
    for title, calls in (
        ("slowest", summary.slowest),
        ("dearest", summary.dearest),
        ("failed", summary.failed),
    ):
        if calls:
            parts += [Text(f"\n{title}", style="dim"), _calls(calls)]
    return Group(*parts)


def _calls(calls: Sequence[Mapping[str, Any]]) -> RenderableType:
    grid = table("call", "attempt>", "took>", "cost>", "error")
    for call in calls:
        took = duration(None if call["latency_ms"] is None else call["latency_ms"] / 1e3)
        cost = "–" if call["cost"] is None else f"{call['cost']:.6g}"
        error = value(_reason(call["error"]), _ERROR_WIDTH) if call["error"] else ""
        grid.add_row(printable(call["call_id"]), str(call["attempt"]), took, cost, error)
    return grid


def _reason(recorded: str) -> str:
    """The words of a recorded error, without its other facts."""
    try:
        facts = orjson.loads(recorded)
    except orjson.JSONDecodeError:
        return recorded
    return str(facts.get("error", recorded)) if isinstance(facts, dict) else recorded
