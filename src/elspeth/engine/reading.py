"""Taking rows from a source: directly, or through a thread where something may have to happen meanwhile."""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from elspeth.contracts.plugins import PluginContext, Source
from elspeth.engine.executors.concurrent import Flights
from elspeth.engine.steps import Workshop

TICK = object()
"""Comes instead of a row when a timer is due."""

_AHEAD = 1024
LONGEST_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Direct:
    """The rows of a source, one by one. ``fetch`` is the iterator's own function: no frame in between."""

    fetch: Callable[[], Any]
    position: Callable[[], Mapping[str, Any]]

    def close(self) -> None:
        """Nothing is read ahead."""


def read_directly(source: Source, ctx: PluginContext) -> Direct:
    """The rows of ``source``; a slow source keeps everything waiting."""
    return Direct(iter(source.load(ctx)).__next__, source.position)


def read_ahead(source: Source, ctx: PluginContext, workshop: Workshop, flights: Flights) -> "Ahead":
    """The rows of ``source`` by way of a thread, with `TICK` whenever something else is to be done.

    That is when a timer of ``workshop`` is due, and while ``flights`` have no room for more rows.
    """
    return Ahead(source, ctx, workshop, flights)


class Ahead:
    """The rows of a source as they come from its thread."""

    def __init__(self, source: Source, ctx: PluginContext, workshop: Workshop, flights: Flights) -> None:
        self._flights = flights
        self._timers = workshop.timers
        self._clock = workshop.clock.ns
        self._queue: queue.Queue[tuple[Any, Mapping[str, Any]]] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._position = source.position()
        self._thread = threading.Thread(
            target=self._read, args=(source, ctx), daemon=True, name="elspeth-source"
        )
        self._thread.start()

    def _read(self, source: Source, ctx: PluginContext) -> None:
        try:
            for item in source.load(ctx):
                if not self._put((item, source.position())):
                    return
            self._put((_End(None), source.position()))
        except BaseException as error:  # noqa: BLE001  # raised again in the engine's thread
            self._put((_End(error), self._position))

    def _put(self, entry: tuple[Any, Mapping[str, Any]]) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(entry, timeout=LONGEST_WAIT_S)
            except queue.Full:
                continue
            return True
        return False

    def fetch(self) -> Any:
        """The next row, or `TICK`. Raises StopIteration at the end, and what the source raised."""
        wait = LONGEST_WAIT_S
        deadline = self._timers.next_deadline
        if deadline is not None:
            wait = min(wait, max(0.0, (deadline - self._clock()) / 1e9))
        if self._flights.congested:
            self._flights.wait(wait)
            self._flights.land()
            return TICK
        self._flights.land()
        try:
            item, position = self._queue.get(timeout=wait) if wait else self._queue.get_nowait()
        except queue.Empty:
            return TICK
        if isinstance(item, _End):
            self._thread.join()
            if item.error is not None:
                raise item.error
            self._position = position
            raise StopIteration
        self._position = position
        return item

    def position(self) -> Mapping[str, Any]:
        """Behind the row that came last; what was read ahead does not count."""
        return self._position

    def close(self) -> None:
        """Stop reading; waits for the row that is being read."""
        self._stop.set()
        self._thread.join(timeout=5)


class _End:
    """The end of the rows, with what broke them, if anything did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
