"""How we wait for Azure: on a clock that is passed in, longer and longer, not for ever."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.core.polling.arm_polling import ARMPolling

from elspeth.providers.azure_vm.errors import OperationTimeoutError

LONGEST_DELAY = 32.0
_NOT_SAID = -1.0
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


@dataclass(frozen=True, slots=True)
class ArmCall:
    """One HTTP request to Azure Resource Manager, for the record (call type ``arm``).

    ``path`` is without host and query, hashes are SHA-256 (hex) of the bodies, ``status`` is 0 where there
    was no answer, ``request_id`` is Azure's own, which its support asks for.
    """

    method: str
    path: str
    status: int
    started_at: float
    latency_ms: float
    request_hash: str
    response_hash: str
    request_id: str


class ClockedTransport(RequestsTransport):  # type: ignore[misc]  # the SDK exports it untyped
    """The SDK's transport, with our clock for all of its pauses, and an account of each request."""

    def __init__(self, clock: Waiter, on_call: Callable[[ArmCall], None] | None, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._on_call = on_call

    def sleep(self, duration: float) -> None:
        """Retries and polling pause through here."""
        self._clock.sleep(duration)

    def send(self, request: Any, **options: Any) -> Any:
        """Send, and tell of it, also if there is no answer."""
        if self._on_call is None:
            return super().send(request, **options)
        started = self._clock.now()
        response: Any = None
        try:
            response = super().send(request, **options)
            return response
        finally:
            self._on_call(_account(request, response, started, self._clock.now()))


def _account(request: Any, response: Any, started: float, ended: float) -> ArmCall:
    path = "/" + request.url.split("://", 1)[-1].split("?", 1)[0].partition("/")[2]
    body = request.content if hasattr(request, "content") else getattr(request, "body", None)
    sent = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b""
    got = b""
    if response is not None:
        # What is streamed is read here; the SDK then gets it from memory.
        got = response.read() if hasattr(response, "read") else response.body()
    return ArmCall(
        method=request.method,
        path=path,
        status=response.status_code if response is not None else 0,
        started_at=started,
        latency_ms=(ended - started) * 1000.0,
        request_hash=sha256(sent).hexdigest(),
        response_hash=sha256(got).hexdigest() if response is not None else "",
        request_id=response.headers.get("x-ms-request-id", "") if response is not None else "",
    )


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
