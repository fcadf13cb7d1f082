"""The one look of our tables."""

from rich import box
from rich.table import Table


def table(*columns: str) -> Table:
    """A plain table; ``>`` at the end of a column's name aligns it right. Cells fold, never vanish."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        right = name.endswith(">")
        grid.add_column(
            name.removesuffix(">"), justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    return grid
