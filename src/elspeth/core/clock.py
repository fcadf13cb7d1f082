"""Time, as something that is passed in."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The machine's clock: never goes back while the process runs.

    `ns` counts nanoseconds since an arbitrary start and is the plain function, not a method,
    because the engine reads it at every step. `epoch_ns` turns such a count into nanoseconds
    since 1970-01-01 UTC: the wall clock is read once, so a clock that is set back in the middle
    of a run can't make a row end before it began.
    """

    ns: Callable[[], int]
    sleep: Callable[[float], None]

    def __init__(self) -> None:
        self.ns = time.perf_counter_ns
        self.sleep = time.sleep
        self.epoch_ns = time.time_ns() - time.perf_counter_ns()

    def now(self) -> datetime:
        """The time in UTC, with microseconds."""
        return instant((self.ns() + self.epoch_ns) // 1000)


def instant(microseconds: int) -> datetime:
    """The UTC time so many microseconds after 1970-01-01; exact, which a float of seconds is not."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds(moment: datetime) -> int:
    """How many microseconds after 1970-01-01 UTC; the inverse of `instant`."""
    return (moment - EPOCH) // timedelta(microseconds=1)
