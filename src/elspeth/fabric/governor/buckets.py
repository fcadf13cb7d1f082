"""So much per minute: a bucket that fills steadily and may be emptied at once."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """A token bucket. ``per_minute`` is its rate; ``burst`` what may be taken at once after a rest.

    ``now`` is in seconds of any clock that does not go back. Not thread-safe: its owner holds a lock.
    The default burst is what comes in one second, at least 1, so that a minute never sees more
    than its limit and one second's worth.
    """

    per_minute: float
    burst: float = 0.0
    _level: float = 0.0
    _at: float | None = None

    def __post_init__(self) -> None:
        self.burst = self.burst or max(1.0, self.per_minute / 60)
        self._level = self.burst

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until ``amount`` may be taken; 0.0: now. More than the burst waits for a full bucket."""
        self._fill(now)
        missing = min(amount, self.burst) - self._level
        # A billionth less than whole is whole: sums of floats must not make anybody wait.
        return missing * 60 / self.per_minute if missing > 1e-9 else 0.0

    def take(self, now: float, amount: float = 1.0) -> None:
        """Take ``amount``, even if it is not there: the level may go below zero, and others wait longer."""
        self._fill(now)
        self._level -= amount

    def give_back(self, amount: float) -> None:
        """Return what was taken and not used."""
        self._level = min(self.burst, self._level + amount)

    def empty(self, now: float) -> None:
        """The service says that nothing is left."""
        self._fill(now)
        self._level = min(self._level, 0.0)

    def _fill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.per_minute / 60)
        self._at = now if self._at is None else max(now, self._at)
