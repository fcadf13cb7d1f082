"""Time that runs faster than the world's."""

import time


class SpedUpClock:
    """A clock on which ``speed`` seconds pass in one real second.

    Server and client must share one. ``now`` gives seconds since 1970 as the world's clock had them
    when this one was made, plus what has passed here. ``anchor`` makes the same clock in another process of
    this machine.
    """

    def __init__(self, speed: float = 1.0, anchor: tuple[float, float] | None = None) -> None:
        self.speed = speed
        self.anchor = anchor or (time.time(), time.monotonic())
        self._start, self._zero = self.anchor

    def now(self) -> float:
        """The time here, in seconds since 1970."""
        return self._start + (time.monotonic() - self._zero) * self.speed

    def sleep(self, seconds: float) -> None:
        """Wait for so many of this clock's seconds."""
        time.sleep(max(0.0, seconds) / self.speed)
