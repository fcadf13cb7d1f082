"""Draws the README's pictures: the demo is run for real, and Rich writes down what a terminal would show.

    .venv/bin/python docs/make_pictures.py

Run it from the root of the repository. The record is kept in a temporary directory; the demo's results
are where `make demo` leaves them.
"""

import re
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType
from rich.terminal_theme import DIMMED_MONOKAI

from elspeth.api.explain import explain
from elspeth.api.run import run
from elspeth.cli.lineage_tree import row_tree, run_line
from elspeth.cli.run_tables import run_summary

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = "examples/claims/pipeline.yaml"
IMAGES = ROOT / "docs" / "images"
# The row of `make demo`: in hospital, so that its story has a fork, and over the limit.
ROW = 76
WIDTH = 92
# A README shows pictures without what they would load from elsewhere.
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


LEADING_SPACES = re.compile(r'x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)" ([^>]*)>((?:&#160;)+)(?=[^<&])')
CELL = 12.2


def main() -> None:
    """Write ``run.svg`` and ``explain.svg``."""
    with tempfile.TemporaryDirectory() as directory:
        database = f"sqlite:///{directory}/landscape.db"
        result = run(PIPELINE, database=database)
        story = explain(row=ROW, database=database)
    draw("run", f"elspeth run {PIPELINE}", run_summary(result))
    draw(
        "explain",
        f"elspeth explain latest --row {ROW}",
        run_line(story.run),
        "",
        row_tree(story.rows[0], story),
    )


def draw(name: str, title: str, *renderables: RenderableType) -> None:
    """One picture of a terminal that shows these."""
    console = Console(
        record=True, file=StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor",
        markup=False, emoji=False, highlight=False,
    )  # fmt: skip
    for renderable in renderables:
        console.print(renderable)
    picture = console.export_svg(title=title, theme=DIMMED_MONOKAI, unique_id=name)
    picture = LEADING_SPACES.sub(moved, FONTS.sub("", picture))
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{name}.svg").write_text(picture, encoding="utf-8")


def moved(text: re.Match[str]) -> str:
    """A text that begins where its first letter is: some viewers swallow the spaces before it."""
    x, y, length, rest, spaces = text.groups()
    shift = CELL * spaces.count("&#160;")
    return f'x="{float(x) + shift:.1f}" y="{y}" textLength="{float(length) - shift:.1f}" {rest}>'


if __name__ == "__main__":
    main()
