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
        """Tell the first of those whose time has come; False if there was nobody.

        One at a time, so that what comes of it is worked off before the next is told: rows keep
        the order in which their times came.
        """
        if not self._heap or self._heap[0][0] > now:
            return False
        _, _, owner, key = heapq.heappop(self._heap)
        owner.expire(key)
        return True

    @property
    def next_deadline(self) -> int | None:
        """When somebody has to be told next; None if nobody waits."""
        return self._heap[0][0] if self._heap else None
