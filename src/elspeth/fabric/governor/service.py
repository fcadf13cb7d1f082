"""One service's limits, and all services' governor."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from elspeth.fabric.governor.adaptive import AdaptiveLimit
from elspeth.fabric.governor.breaker import BreakerState, CircuitBreaker
from elspeth.fabric.governor.buckets import Bucket
from elspeth.fabric.governor.budget import Budget
from elspeth.fabric.governor.prices import PriceTable

BUSY_S = 0.02  # how soon a caller looks again when others hold all places of a service


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What somebody allowed. None: no limit."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How a service stands, for progress and metrics."""

    in_flight: int
    allowed: int
    throttled: int
    breaker: BreakerState
    breaker_opened: int
    paused_s: float


class ServiceGovernor:
    """Decides when the next call to one service may be made; shared by all its callers, on all threads.

    Time is passed in: seconds of a clock that does not go back. For each call: `admit` until it
    says 0.0 (then the call counts as begun), make it, and then one of `answered`, `throttled`, `failed`,
    `abandoned`.
    """

    def __init__(self, limits: ServiceLimits, breaker: CircuitBreaker | None = None) -> None:
        self._lock = threading.Lock()
        self._requests = _bucket(limits.requests_per_minute)
        self._tokens = _bucket(limits.tokens_per_minute)
        self._adaptive = AdaptiveLimit(0)
        self._breaker = breaker or CircuitBreaker()
        self._in_flight = 0
        self._throttled = 0

    def join(self, pool_size: int) -> None:
        """Another caller, with so many calls in flight at most."""
        with self._lock:
            self._adaptive.widen(pool_size)

    def admit(self, now: float, tokens: int = 0) -> float:
        """0.0: make the call now. Else ask again after so many seconds."""
        with self._lock:
            wait = max(self._adaptive.pause(now), self._breaker.wait(now))
            if wait == 0.0 and self._in_flight >= self._adaptive.allowed:
                wait = BUSY_S
            if wait == 0.0 and self._requests is not None:
                wait = self._requests.wait(now)
            if wait == 0.0 and self._tokens is not None:
                wait = self._tokens.wait(now, tokens)
            if wait > 0.0:
                return wait
            if self._requests is not None:
                self._requests.take(now)
            if self._tokens is not None:
                self._tokens.take(now, tokens)
            self._in_flight += 1
            self._breaker.began()
        return 0.0

    def answered(self, tokens_reserved: int = 0, tokens_used: int = 0) -> None:
        """The service answered, with an answer or with what is wrong with the request."""
        with self._lock:
            self._in_flight -= 1
            self._adaptive.answered()
            self._breaker.succeeded()
            if self._tokens is not None:
                self._tokens.give_back(tokens_reserved - tokens_used)

    def throttled(self, now: float, retry_after: float | None = None) -> None:
        """The service asked for less (429, 503, 529)."""
        with self._lock:
            self._in_flight -= 1
            self._throttled += 1
            self._adaptive.throttled(now, retry_after)
            self._breaker.abandoned()

    def failed(self, now: float) -> None:
        """The service did not answer, or said that it is broken."""
        with self._lock:
            self._in_flight -= 1
            self._breaker.failed(now)

    def abandoned(self) -> None:
        """The call ended without telling anything of the service."""
        with self._lock:
            self._in_flight -= 1
            self._breaker.abandoned()

    def is_shut(self) -> bool:
        """Whether calls wait because the service does not answer."""
        return self._breaker.state is not BreakerState.CLOSED

    def state(self, now: float) -> ServiceState:
        """How things stand."""
        with self._lock:
            return ServiceState(
                self._in_flight,
                self._adaptive.allowed,
                self._throttled,
                self._breaker.state,
                self._breaker.opened,
                self._adaptive.pause(now),
            )


@dataclass(slots=True)
class Governor:
    """Every service's governor, by name, the budget of the whole run, and the prices for all nodes."""

    limits: Mapping[str, ServiceLimits] = field(default_factory=dict)
    default: ServiceLimits = field(default_factory=ServiceLimits)
    budget: Budget | None = None
    prices: PriceTable = field(default_factory=lambda: PriceTable({}))
    _services: dict[str, ServiceGovernor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def service(self, name: str, own: ServiceLimits | None = None) -> ServiceGovernor:
        """The governor of one service; all who name it share it. ``own``: limits that the caller brings."""
        with self._lock:
            found = self._services.get(name)
            if found is None:
                limits = own or self.limits.get(name) or self.default
                found = self._services[name] = ServiceGovernor(limits)
            return found

    def services(self) -> Mapping[str, ServiceGovernor]:
        """All services that were asked for so far."""
        with self._lock:
            return dict(self._services)


def _bucket(per_minute: float | None) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute)
