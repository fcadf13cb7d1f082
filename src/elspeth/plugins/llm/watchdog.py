"""Time-outs of many calls with one timer: two or three timers for each call take a sixth of its CPU."""

import asyncio

from elspeth.plugins.llm.calling import Timeouts

_LOOKS = 10  # within the shortest time-out
_LONGEST_LOOK_S = 1.0


class Call:
    """One call under way. Say `heard` whenever something came; ``expired`` is why it was cancelled."""

    __slots__ = ("began", "expired", "heard_at", "task")

    def __init__(self, task: "asyncio.Task[object]", now: float) -> None:
        self.task = task
        self.began = self.heard_at = now
        self.expired: str | None = None


class Watchdog:
    """Cancels the tasks of calls that take too long; on the loop's thread only.

    It looks ten times within the shortest time-out, at least once a second, so that a call may take a
    tenth longer than it is allowed to.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._every_s = min(_LONGEST_LOOK_S, min(timeouts.first_byte, timeouts.total) / _LOOKS)
        self._loop = asyncio.get_running_loop()
        self._calls: set[Call] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Call:
        """The running task makes a call."""
        task = asyncio.current_task()
        assert task is not None
        call = Call(task, self._loop.time())
        self._calls.add(call)
        if self._timer is None:
            self._timer = self._loop.call_later(self._every_s, self._look)
        return call

    def heard(self, call: Call) -> None:
        """Something came."""
        call.heard_at = self._loop.time()

    def end(self, call: Call) -> None:
        """The call is over."""
        self._calls.discard(call)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now, limits = self._loop.time(), self._timeouts
        for call in list(self._calls):
            if now - call.began >= limits.total:
                self._expire(call, f"no answer within {limits.total:g} s")
            elif now - call.heard_at >= limits.first_byte:
                self._expire(call, f"nothing came for {limits.first_byte:g} s")
        self._timer = self._loop.call_later(self._every_s, self._look) if self._calls else None

    def _expire(self, call: Call, why: str) -> None:
        call.expired = why
        self._calls.discard(call)
        call.task.cancel()
