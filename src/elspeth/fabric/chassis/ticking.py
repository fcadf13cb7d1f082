"""The beat by which a call's time is measured."""

import threading
from typing import Any

BEAT = 0.005


class Ticking:
    """Counts an engine's epoch up every 5 ms, in a thread, until `stop`. Calls end when their epoch has
    come.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="elspeth-wasm-clock", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            self._engine.increment_epoch()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()


def beats(seconds: float) -> int:
    """How many beats make up so many seconds, at least two: the first may come at once."""
    return max(2, round(seconds / BEAT) + 1)
