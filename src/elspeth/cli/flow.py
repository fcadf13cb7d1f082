"""Short texts side by side, as many to a line as fit."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_GAP = "  "


class Flow:
    """Wraps between items; within one only if it is wider than a line (Rich breaks at any space)."""

    def __init__(self, items: Sequence[Text]) -> None:
        self._items = items

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text(overflow="fold")
        for item in self._items:
            if line and line.cell_len + len(_GAP) + item.cell_len > options.max_width:
                yield line
                line = Text(overflow="fold")
            if line:
                line.append(_GAP)
            line.append_text(item)
        if line:
            yield line

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)
