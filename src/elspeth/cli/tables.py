"""The one look of our tables."""

from rich import box
from rich.console import JustifyMethod
from rich.table import Table


def table(*columns: str) -> Table:
    """A plain table whose cells fold and are never cut.

    A ``!`` behind a column's name keeps its cells in one line, ``>`` aligns them right too.
    """
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        justify: JustifyMethod = "right" if name.endswith(">") else "left"
        grid.add_column(
            name.rstrip(">!"), justify=justify, overflow="fold", no_wrap=name.endswith((">", "!"))
        )
    return grid
