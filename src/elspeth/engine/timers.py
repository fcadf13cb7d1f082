"""Things that happen at a time, whether or not a row comes."""

import heapq
from collections.abc import Hashable
from itertools import count
from typing import Any, Protocol


class Expiring(Protocol):
    """Somebody who wants to be told that a time has come."""

    def expire(self, key: Any) -> None: ...


class Timers:
    """Deadlines in the engine's nanoseconds. Owners ignore those that have lost their meaning."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Expiring, Hashable]] = []
        self._order = count()

    def set(self, deadline: int, owner: Expiring, key: Hashable) -> None:
        """Tell ``owner`` at ``deadline``, with ``key``."""
        heapq.heappush(self._heap, (deadline, next(self._order), owner, key))

    def fire(self, now: int) -> bool:
        """Tell everybody whose time has come; True if there was anybody."""
        fired = False
        while self._heap and self._heap[0][0] <= now:
            _, _, owner, key = heapq.heappop(self._heap)
            owner.expire(key)
            fired = True
        return fired

    @property
    def next_deadline(self) -> int | None:
        """When somebody has to be told next; None if nobody waits."""
        return self._heap[0][0] if self._heap else None
