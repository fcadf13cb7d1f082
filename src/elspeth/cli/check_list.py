"""What the doctor found."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from elspeth.api.doctor import Check
from elspeth.cli.text import printable

_STYLES: Mapping[str, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def check_list(checks: Sequence[Check]) -> Table:
    """One line per check, the remedy below it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in checks:
        told = Text(printable(check.what))
        if check.remedy:
            told.append(f"\nfix: {printable(check.remedy)}", style="cyan")
        grid.add_row(Text(check.verdict, style=_STYLES[check.verdict]), check.name, told)
    return grid
