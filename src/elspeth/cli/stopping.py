"""Ctrl-C and SIGTERM while a run goes on: the first asks it to end cleanly, the second ends it at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"\nstopping: what was read so far is being committed (once more to abort at once)\n"


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self._requested = False

    def __call__(self) -> bool:
        return self._requested

    def receive(self, _number: int, _frame: FrameType | None) -> None:
        """A signal handler. A second signal raises KeyboardInterrupt, a third one kills."""
        if self._requested:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._requested = True
        # Not through sys.stderr: the signal may have come while it was being written to.
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), _NOTICE)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Watch for SIGINT and SIGTERM inside the block; the former handlers are back after it.

    Outside the main thread, where Python has no signals, the request simply never comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {number: signal.signal(number, request.receive) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
