"""A service that does not answer is left alone for a while, then tried with one call."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: calls go through. Open: none does. Half-open: one is under way to see whether it is over."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class CircuitBreaker:
    """Opens when, of the last ``window`` calls, the share ``threshold`` failed; not before ``window`` calls.

    Only what says that the service is in trouble counts as a failure (no connection, time-out, 5xx),
    never what is wrong with one request. Each time a trial call fails, it stays open twice as long, up to
    ``longest_s``. Not thread-safe.
    """

    window: int = 40
    threshold: float = 0.9
    open_s: float = 2.0
    longest_s: float = 60.0
    state: BreakerState = BreakerState.CLOSED
    opened: int = 0
    _outcomes: deque[bool] = field(default_factory=deque)
    _failures: int = 0
    _until: float = 0.0
    _next_s: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call may be made; 0.0: now, and that call must be told of by `began`."""
        if self.state is BreakerState.CLOSED:
            return 0.0
        if self.state is BreakerState.HALF_OPEN:
            return self.open_s / 10  # the trial call is under way
        return max(0.0, self._until - now)

    def began(self) -> None:
        """A call is made. The first behind an open breaker is the trial."""
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN

    def abandoned(self) -> None:
        """A call ended without telling anything of the service; a trial like that is made again."""
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.OPEN

    def succeeded(self) -> None:
        """The service answered (also with a refusal): it is there."""
        if self.state is BreakerState.HALF_OPEN:
            self._close()
        elif self.state is BreakerState.CLOSED:
            self._note(failed=False)

    def failed(self, now: float) -> None:
        """The service did not answer, or only said that it is broken."""
        if self.state is BreakerState.HALF_OPEN:
            self._open(now)
        elif self.state is BreakerState.CLOSED:
            self._note(failed=True)
            if len(self._outcomes) >= self.window and self._failures >= self.threshold * self.window:
                self._open(now)

    def _note(self, *, failed: bool) -> None:
        self._outcomes.append(failed)
        self._failures += failed
        if len(self._outcomes) > self.window:
            self._failures -= self._outcomes.popleft()

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self.opened += 1
        self._next_s = min(self.longest_s, self._next_s * 2 or self.open_s)
        self._until = now + self._next_s

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self._outcomes.clear()
        self._failures = 0
        self._next_s = 0.0
