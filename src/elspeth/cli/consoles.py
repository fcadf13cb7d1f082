"""Rich consoles that keep our promises about colour, width and closed pipes."""

import sys

from rich.console import Console, RenderableType


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process; `main` knows better. Called while the error is handled."""
        self.quiet = True
        raise BrokenPipeError


def console() -> Console:
    """A console on stdout.

    ``NO_COLOR``, ``FORCE_COLOR`` and ``COLUMNS`` are heeded; without a terminal there is no escape
    code, and 80 columns. Markup and emoji codes are off, because data are not ours to interpret.
    """
    return _Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def show(*renderables: RenderableType) -> None:
    """Print on stdout; where that is no terminal, without the spaces that Rich fills lines up with."""
    out = console()
    if out.is_terminal:
        for renderable in renderables:
            out.print(renderable)
        return
    with out.capture() as capture:
        for renderable in renderables:
            out.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
