"""How many calls at once a service bears: additive increase, multiplicative decrease."""

from dataclasses import dataclass

DECREASE = 0.7
COOL_DOWN_S = 1.0
PAUSE_S = 0.5
LONGEST_PAUSE_S = 120.0


@dataclass(slots=True)
class AdaptiveLimit:
    """The limit of calls in flight: it starts at ``most``, falls when the service throttles, and recovers.

    A throttled call lowers it to 70 %, once per ``COOL_DOWN_S``, because calls that were in flight
    together are refused together. Every answered call raises it by 1/limit: by about one per
    round trip. The rule is that of TCP (Chiu and Jain 1989). Not thread-safe.
    """

    most: int
    limit: float = 0.0
    paused_until: float = 0.0
    _lowered_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    def widen(self, more: int) -> None:
        """Another caller shares the service: the limit grows by what it may have in flight."""
        self.most += more
        self.limit += more

    @property
    def allowed(self) -> int:
        """Calls that may be in flight now."""
        return max(1, int(self.limit))

    def answered(self) -> None:
        """A call was answered."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1.0 / self.limit)

    def throttled(self, now: float, retry_after: float | None) -> None:
        """The service asked for less. ``retry_after``: for how many seconds nothing may be sent."""
        if now - self._lowered_at >= COOL_DOWN_S:
            self._lowered_at = now
            self.limit = max(1.0, self.limit * DECREASE)
        if retry_after is not None and retry_after > 0:
            self.paused_until = max(self.paused_until, now + min(retry_after, LONGEST_PAUSE_S))

    def pause(self, now: float) -> float:
        """Seconds for which nothing may be sent; 0.0: none."""
        return max(0.0, self.paused_until - now)
