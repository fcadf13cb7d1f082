"""Circuit breakers, one per provider, region and operation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from elspeth.contracts.errors import ElspethError
from elspeth.fabric.governor.breaker import BreakerState, CircuitBreaker

Key = tuple[str, str, str]


class ServiceShutError(ElspethError):
    """A provider's operation failed again and again in a region, and is left alone for a while.

    ``seconds``: until it is tried again.
    """

    exit_code = 3

    def __init__(self, key: Key, seconds: float) -> None:
        provider, region, operation = key
        super().__init__(
            f"{provider} fails to {operation} in {region} again and again; left alone for {seconds:.0f} s",
            fix="see the provider's status page, and try again later",
        )
        self.key = key
        self.seconds = seconds


class Breakers:
    """Opens after ``window`` calls of one kind of which four in five failed, each kind by itself; it stays
    open for ``open_s`` seconds, and each time twice as long if the call that tries again fails too.

    ``now`` gives seconds; ``is_trouble`` says which errors tell of a service in trouble, and not of a
    request that is wrong.
    """

    def __init__(
        self,
        now: Callable[[], float],
        is_trouble: Callable[[Exception], bool],
        *,
        window: int = 5,
        open_s: float = 30.0,
    ) -> None:
        self._now = now
        self._is_trouble = is_trouble
        self._window = window
        self._open_s = open_s
        self._lock = threading.Lock()
        self._breakers: dict[Key, CircuitBreaker] = {}

    @contextmanager
    def guarding(self, provider: str, region: str, operation: str) -> Iterator[None]:
        """Around one call. Raises ServiceShutError instead of making it if the breaker is open."""
        key = (provider, region, operation)
        with self._lock:
            breaker = self._breakers.setdefault(
                key,
                CircuitBreaker(
                    window=self._window, threshold=0.8, open_s=self._open_s, longest_s=20 * self._open_s
                ),
            )
            wait = breaker.wait(self._now())
            if wait > 0:
                raise ServiceShutError(key, wait)
            breaker.began()
        try:
            yield
        except Exception as error:
            with self._lock:
                if self._is_trouble(error):
                    breaker.failed(self._now())
                else:
                    breaker.succeeded()
            raise
        except BaseException:
            with self._lock:
                breaker.abandoned()
            raise
        with self._lock:
            breaker.succeeded()

    def open(self) -> list[Key]:
        """What is left alone just now."""
        with self._lock:
            return sorted(key for key, one in self._breakers.items() if one.state is not BreakerState.CLOSED)
