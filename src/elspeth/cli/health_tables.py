"""The health of a provider as a table."""

from rich.console import Group, RenderableType
from rich.text import Text

from elspeth.cli.tables import table
from elspeth.cli.text import duration, number, printable
from elspeth.fabric.health import ProviderHealth, WindowFigures


def health_table(provider: ProviderHealth) -> RenderableType:
    """One line per capability and window in which it was called."""
    head = Text.assemble((printable(provider.provider), "bold"))
    if provider.reputation is not None:
        head.append(f"  reputation {provider.reputation:.1f}", style="dim")
    if not provider.promised:
        head.append("  no manifest: nothing is promised", style="dim")
    grid = table("capability!", "in!", "calls>", "failed>", "available>", "budget>", "burn>", "p95>")
    for capability in provider.capabilities:
        name = printable(capability.capability)
        for window, figures in capability.windows.items():
            if figures.calls:
                grid.add_row(name, window, *_cells(figures))
                name = ""
    return Group(head, grid, Text())


def _cells(figures: WindowFigures) -> list[Text | str]:
    failed = number(figures.failed)
    aside = figures.throttled + figures.refused
    p95 = Text(_span(figures.p95_ms), style="red" if figures.latency_met is False else "")
    return [
        number(figures.calls),
        f"{failed} (+{number(aside)})" if aside else failed,
        _share(figures.availability, figures),
        Text(
            _percent(figures.budget_left),
            style=_bad(figures.budget_left is not None and figures.budget_left < 0),
        ),
        Text(
            "–" if figures.burn_rate is None else f"{figures.burn_rate:.2f}",
            style=_bad(figures.burn_rate is not None and figures.burn_rate > 1),
        ),
        p95,
    ]


def _share(share: float | None, figures: WindowFigures) -> Text:
    target = figures.target
    missed = share is not None and target is not None and share < target.availability
    return Text("–" if share is None else f"{share:.3%}", style=_bad(missed))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _span(ms: float | None) -> str:
    return "–" if ms is None else duration(ms / 1e3)


def _bad(missed: bool) -> str:
    return "red" if missed else ""
