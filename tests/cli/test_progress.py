"""The line of progress."""

import pytest

from elspeth.cli.progress import ProgressLine, describe
from elspeth.engine.result import Progress


def at(seconds: float, rows: int = 1000, expected: int | None = None) -> Progress:
    return Progress("run", rows, expected, seconds, {"paid": rows - 1, "qua\x1brantine": 1})


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (at(2.0, 41_000, 100_000),
         "41,000 rows · 20,500/s · 41 % · ETA 0:03 · paid 40,999 · qua\\x1brantine 1"),
        (at(0.5), "1,000 rows · 2,000/s · paid 999 · qua\\x1brantine 1"),
        (at(1.0, 1000, 900), "1,000 rows · 1,000/s · paid 999 · qua\\x1brantine 1"),
        (at(0.0, 1, 10), "1 rows · 0/s · paid 0 · qua\\x1brantine 1"),
    ],
    ids=["size known", "size unknown", "estimate passed", "no time yet"],
)  # fmt: skip
def test_what_it_says(progress: Progress, text: str) -> None:
    assert describe(progress) == text


def test_without_a_terminal_a_plain_line_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(stopping=lambda: False, live=False) as line:
        for seconds in (0.3, 4.9, 5.0, 9.9, 10.1):
            line.show(at(seconds))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" · ")[1] for line in lines] == ["200/s", "99/s"]
    assert not any("\x1b" in line for line in lines)


def test_on_a_terminal_one_line_that_is_gone_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    with ProgressLine(stopping=lambda: False, live=True) as line:
        for seconds in (0.05, 0.2, 0.25):
            line.show(at(seconds))
    assert capsys.readouterr().err == "\r\x1b[2K1,000 rows · 5,000/s · paid …\r\x1b[2K"


def test_once_somebody_stops_the_run_nothing_more_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine(stopping=lambda: True, live=True) as line:
        line.show(at(60.0))
    assert capsys.readouterr().err == ""
