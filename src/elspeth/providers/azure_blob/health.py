"""How the storage is doing: counters and latencies per operation."""

import threading
from collections import deque
from dataclasses import dataclass, field

from elspeth.providers.azure_blob.calls import BlobCall

_KEPT = 512


@dataclass(frozen=True, slots=True)
class OperationHealth:
    """One operation since the client was made. Latencies (ms) are those of the last 512 calls."""

    calls: int
    errors: int
    retries: int
    bytes_sent: int
    bytes_received: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    last_error: str


@dataclass(slots=True)
class _Counters:
    calls: int = 0
    errors: int = 0
    retries: int = 0
    sent: int = 0
    received: int = 0
    last_error: str = ""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Health:
    """Counts calls; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, _Counters] = {}

    def note(self, call: BlobCall) -> None:
        """Count one call."""
        with self._lock:
            counters = self._operations.setdefault(call.operation, _Counters())
            counters.calls += 1
            counters.retries += call.retries
            counters.sent += call.bytes_sent
            counters.received += call.bytes_received
            counters.latencies.append(call.duration_ms)
            if not call.ok:
                counters.errors += 1
                counters.last_error = call.error

    def snapshot(self) -> dict[str, OperationHealth]:
        """What was counted so far, by operation."""
        with self._lock:
            return {name: _health(counters) for name, counters in sorted(self._operations.items())}


def _health(counters: _Counters) -> OperationHealth:
    ordered = sorted(counters.latencies)
    last = len(ordered) - 1
    return OperationHealth(
        counters.calls,
        counters.errors,
        counters.retries,
        counters.sent,
        counters.received,
        sum(ordered) / len(ordered) if ordered else 0.0,
        ordered[round(last * 0.5)] if ordered else 0.0,
        ordered[round(last * 0.95)] if ordered else 0.0,
        counters.last_error,
    )
