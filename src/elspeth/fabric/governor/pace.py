"""A service's own token buckets, kept on our side too, so that requests wait here and not in refusals."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from elspeth.fabric.governor.buckets import Bucket

SLOWER = 0.7
"""What a refusal leaves of the rate: others take from the same buckets."""
SLOWEST = 0.02
"""The least that remains, as a share of the service's rate."""
RECOVERY_S = 60.0
"""How long it takes from the slowest rate back to the service's, without further refusals."""


@dataclass(slots=True)
class _Kind:
    bucket: Bucket
    rate: float
    slowed_at: float = float("-inf")
    seen_at: float | None = None


class Pace:
    """When the next request may be made, for all threads. ``sizes``: by kind of request, how many at once
    and how many more per second.

    Each refusal (at most one a second counts) lowers the rate to 70 %, and it rises again with time: so
    processes that share a subscription come to share its buckets, as with AIMD.
    """

    def __init__(self, sizes: Mapping[str, tuple[float, float]]) -> None:
        self._lock = threading.Lock()
        self._kinds = {
            name: _Kind(Bucket(per_second * 60, burst), per_second * 60)
            for name, (burst, per_second) in sizes.items()
        }

    def take(self, kind: str, now: float) -> float:
        """Take the next place in the line; how many seconds to wait before the request is made."""
        with self._lock:
            one = self._kinds[kind]
            self._recover(one, now)
            wait = one.bucket.wait(now)
            one.bucket.take(now)
        return wait

    def refused(self, kind: str, now: float) -> None:
        """The service said 429: its bucket is empty, whatever ours holds."""
        with self._lock:
            one = self._kinds[kind]
            one.bucket.empty(now)
            if now - one.slowed_at >= 1.0:
                one.slowed_at = now
                one.bucket.per_minute = max(one.rate * SLOWEST, one.bucket.per_minute * SLOWER)

    def _recover(self, one: _Kind, now: float) -> None:
        passed = 0.0 if one.seen_at is None else max(0.0, now - one.seen_at)
        one.seen_at = now
        one.bucket.per_minute = min(one.rate, one.bucket.per_minute + one.rate * passed / RECOVERY_S)
