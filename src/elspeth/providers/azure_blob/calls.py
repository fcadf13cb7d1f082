"""One storage call: made, retried where that is safe, timed, and told to whoever wants to know."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from azure.core.exceptions import AzureError

from elspeth.providers.azure_blob.errors import BlobError, Target, translate

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BlobCall:
    """One operation as it was made, with all its attempts. Holds no secrets and no URLs.

    ``request`` are the operation's own facts (sizes, conditions, ranges); ``retries`` counts the
    attempts after the first; ``reason`` is empty, or a `BlobError` reason.
    """

    operation: str
    target: Target
    request: Mapping[str, Any]
    duration_ms: float
    status: int | None = None
    request_id: str = ""
    etag: str = ""
    version_id: str = ""
    bytes_sent: int = 0
    bytes_received: int = 0
    retries: int = 0
    reason: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return not self.reason


class Throttle(Protocol):
    """Who decides when an account may be called: the governor, where there is one."""

    def before(self, account: str) -> None:
        """Return when a call may be made; may wait, and may raise to refuse it."""

    def after(self, account: str, *, status: int | None, retry_after: float | None) -> None:
        """Told of every attempt: ``status`` is None where no answer came."""


class Unthrottled:
    """Nobody decides: calls are made at once."""

    def before(self, account: str) -> None:
        """Nothing to wait for."""

    def after(self, account: str, *, status: int | None, retry_after: float | None) -> None:
        """Nothing to learn."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often and how soon to try again.

    Before attempt n+1 the wait is random between 0 and ``initial_s`` × 2ⁿ, at most ``max_s``, but
    never shorter than a Retry-After of the service.
    """

    attempts: int = 6
    initial_s: float = 0.5
    max_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def wait(self, attempt: int, retry_after: float | None) -> None:
        """Wait after failed attempt number ``attempt`` (from 1)."""
        backoff = self.random() * min(self.initial_s * 2**attempt, self.max_s)
        self.sleep(max(backoff, retry_after or 0.0))


@dataclass(slots=True)
class Attempt:
    """What is learnt of a call while it is made; give ``note`` to the library as ``raw_response_hook``."""

    status: int | None = None
    request_id: str = ""
    etag: str = ""
    version_id: str = ""
    sent: int = 0
    received: int = 0
    failed_before: int = 0
    """Requests of this attempt that failed, and were made in another way at once."""

    def note(self, response: Any) -> None:
        """Remember what the service answered."""
        http = response.http_response
        self.status = http.status_code
        headers = http.headers
        self.request_id = headers.get("x-ms-request-id", "")
        self.etag = headers.get("ETag", "") or self.etag
        self.version_id = headers.get("x-ms-version-id", "") or self.version_id


class Caller:
    """Makes the calls to one account."""

    def __init__(
        self,
        account: str,
        retrying: Retrying,
        throttle: Throttle,
        observer: Callable[[BlobCall], None],
    ) -> None:
        self.account = account
        self._retrying = retrying
        self._throttle = throttle
        self._observer = observer

    def call(
        self,
        operation: str,
        target: Target,
        do: Callable[[Attempt], T],
        *,
        request: Mapping[str, Any] | None = None,
        settle: Callable[[BlobError], T] | None = None,
    ) -> T:
        """Do it, again if need be, and return what it returns. Raises BlobError.

        ``settle`` is asked when a *repeated* attempt was refused: an earlier one whose answer
        was lost may have done the work. It returns the result, or raises.
        """
        made = _Made(operation, target, dict(request or {}))
        while True:
            made.attempts += 1
            made.more += made.last.failed_before
            attempt = made.last = Attempt()
            self._throttle.before(self.account)
            try:
                result = do(attempt)
            except AzureError as raised:
                error = translate(raised, operation, target)
            except BlobError as final:
                self._throttle.after(self.account, status=attempt.status or 200, retry_after=None)
                self._observer(made.call(final))
                raise
            except BaseException:
                self._throttle.after(self.account, status=attempt.status or 200, retry_after=None)
                raise
            else:
                self._throttle.after(self.account, status=attempt.status, retry_after=None)
                self._observer(made.call())
                return result
            self._throttle.after(self.account, status=error.status, retry_after=error.retry_after)
            if error.retryable and made.attempts < self._retrying.attempts:
                self._retrying.wait(made.attempts, error.retry_after)
                continue
            return self._settle(made, error, settle)

    def _settle(self, made: "_Made", error: BlobError, settle: Callable[[BlobError], T] | None) -> T:
        """The library's error is not chained: it holds signed URLs and headers."""
        try:
            if settle is None or made.attempts == 1 or error.retryable:
                raise error
            result = settle(error)
        except BlobError as final:
            self._observer(made.call(final))
            raise
        self._observer(made.call())
        return result


@dataclass(slots=True)
class _Made:
    """A call on its way."""

    operation: str
    target: Target
    request: dict[str, Any]
    began: float = field(default_factory=time.perf_counter)
    attempts: int = 0
    more: int = 0
    last: Attempt = field(default_factory=Attempt)

    def call(self, error: BlobError | None = None) -> BlobCall:
        last = self.last
        self.more += last.failed_before
        return BlobCall(
            self.operation,
            self.target,
            self.request,
            (time.perf_counter() - self.began) * 1000,
            status=last.status or (error.status if error else None),
            request_id=last.request_id or (error.request_id if error else ""),
            etag=last.etag,
            version_id=last.version_id,
            bytes_sent=last.sent,
            bytes_received=last.received,
            retries=self.attempts - 1 + self.more,
            reason=error.reason if error else "",
            error=error.what if error else "",
        )
