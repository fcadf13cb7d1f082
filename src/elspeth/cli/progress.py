"""How far a run has come, on stderr: one live line on a terminal, else a plain line every few seconds."""

import shutil
import sys
from collections.abc import Callable, Mapping

from elspeth.cli.output import note
from elspeth.cli.text import clock, number, printable
from elspeth.engine.result import Progress

_LIVE_EVERY_S = 0.1
_PLAIN_EVERY_S = 5.0
_ERASE = "\r\x1b[2K"


class ProgressLine:
    """A context manager around a run that gets `show` as its watcher.

    ``stopping``: once it says yes, nothing more is shown, because the line would overwrite the notice.
    """

    def __init__(self, *, stopping: Callable[[], bool], live: bool | None = None) -> None:
        self._stopping = stopping
        self._live = sys.stderr.isatty() if live is None else live
        self._every = _LIVE_EVERY_S if self._live else _PLAIN_EVERY_S
        self._shown_at = 0.0
        self._on_screen = False

    def show(self, progress: Progress) -> None:
        """Show the latest numbers, if the last ones have been there for long enough."""
        if self._stopping() or progress.elapsed_s - self._shown_at < self._every:
            return
        self._shown_at = progress.elapsed_s
        text = describe(progress)
        if not self._live:
            note(text)
            return
        width = shutil.get_terminal_size().columns - 1
        note(_ERASE + (text if len(text) <= width else f"{text[: width - 1]}…"), end="")
        self._on_screen = True

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_exception: object) -> None:
        # However the run ended, what is printed next begins on a clean line.
        if self._on_screen and not self._stopping():
            note(_ERASE, end="")
        self._on_screen = False


def describe(progress: Progress) -> str:
    """``41,000 rows · 82,000/s · 41 % · ETA 0:01 · paid 30,000 · review 11,000``."""
    parts = [f"{number(progress.rows_read)} rows"]
    rate = progress.rows_read / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
    parts.append(f"{number(round(rate))}/s")
    # The expected number is an estimate: one that has been passed is not shown.
    if progress.expected and progress.rows_read <= progress.expected and rate > 0:
        parts.append(f"{100 * progress.rows_read // progress.expected} %")
        parts.append(f"ETA {clock((progress.expected - progress.rows_read) / rate)}")
    return " · ".join(parts + _sinks(progress.sinks) + _calls(progress))


def _calls(progress: Progress) -> list[str]:
    """``30 calls in flight · 298 calls/s · 12,000 tokens · cost 0.42 · 5 × 429 · breaker open``."""
    nodes = progress.calls.values()
    if not nodes:
        return []
    made = sum(node["calls"] for node in nodes)
    rate = made / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
    parts = [f"{number(sum(node['in_flight'] for node in nodes))} calls in flight", f"{rate:,.0f} calls/s"]
    parts.append(f"{number(sum(node['tokens_in'] + node['tokens_out'] for node in nodes))} tokens")
    cost = sum(node["cost"] for node in nodes)
    throttled = sum(node["throttled"] for node in nodes)
    parts += [f"cost {cost:.4g}"] if cost else []
    parts += [f"{number(throttled)} × 429"] if throttled else []
    return parts + [f"breaker {node['breaker']}" for node in nodes if node["breaker"] != "closed"]


def _sinks(sinks: Mapping[str, int]) -> list[str]:
    return [f"{printable(name)} {number(count)}" for name, count in sinks.items()]
