"""How we wait for Azure: on a clock that is passed in, longer and longer, not for ever."""

import time
from typing import Any, Protocol

from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.core.polling.arm_polling import ARMPolling

from elspeth.fabric.governor.pace import Pace
from elspeth.providers.azure_vm.accounts import Listener, account, next_attempt, path_of
from elspeth.providers.azure_vm.errors import OperationTimeoutError

LONGEST_DELAY = 32.0
_NOT_SAID = -1.0
_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
LONGEST_OPERATION = 1800.0


class Waiter(Protocol):
    """Time as the client needs it."""

    def now(self) -> float:
        """Seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class WallClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ClockedTransport(RequestsTransport):  # type: ignore[misc]  # the SDK exports it untyped
    """The SDK's transport, with our clock for all of its pauses, an account of each request, and a pace
    that does not empty ARM's buckets.
    """

    def __init__(self, clock: Waiter, listener: Listener, pace: Pace, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._listener = listener
        self._pace = pace

    def sleep(self, duration: float) -> None:
        """Retries and polling pause through here."""
        self._clock.sleep(duration)

    def send(self, request: Any, **options: Any) -> Any:
        """Send when it is this request's turn, and tell of it, also if there is no answer."""
        listener = self._listener
        attempt = next_attempt(request)
        if listener.on_request is not None and request.method not in ("GET", "HEAD"):
            listener.on_request(request.method, path_of(request))
        kind = _KINDS.get(request.method, "writes")
        wait = self._pace.take(kind, self._clock.now())
        if wait > 0:
            self._clock.sleep(wait)
        started = self._clock.now()
        response: Any = None
        try:
            response = super().send(request, **options)
            if response.status_code == 429:
                self._pace.refused(kind, self._clock.now())
            return response
        finally:
            if listener.on_call is not None:
                listener.on_call(account(request, response, started, self._clock.now(), attempt))


class GrowingPolling(ARMPolling):
    """Polls after ``first``, then twice that … 32 seconds; what the server says (Retry-After) goes first.

    ``started`` is when the operation began, perhaps in an earlier process; 30 minutes after that it raises
    OperationTimeoutError.
    """

    def __init__(self, clock: Waiter, started: float, first: float = 1.0, **options: Any) -> None:
        super().__init__(_NOT_SAID, **options)
        self._clock = clock
        self._deadline = started + LONGEST_OPERATION
        self._next = first

    def _extract_delay(self) -> float:
        said = super()._extract_delay()
        delay, self._next = self._next, min(LONGEST_DELAY, self._next * 2)
        # Without the header the base class answers with the delay that it was made with.
        return delay if said == _NOT_SAID else float(said)

    def _delay(self) -> None:
        left = self._deadline - self._clock.now()
        if left <= 0:
            raise OperationTimeoutError(
                f"Azure has been at it for {LONGEST_OPERATION / 60:.0f} minutes; it goes on there without us",
                fix="look at the machine's state, or resume the pending operation",
            )
        self._sleep(min(self._extract_delay(), max(left, 0.001)))
