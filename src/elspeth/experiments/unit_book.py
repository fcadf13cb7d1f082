"""What each unit adds up to, in little memory: sorted arrays, merged as they grow."""

from typing import Any

from elspeth.experiments.statistics.distributions import library

MOST = 1 << 21
"""So many units keep their sums; beyond, only their keys (8 bytes) are kept, as long as each came once."""


class UnitBook:
    """Unit → sums of ``width`` things. A hash table of Python's would take 20 times the memory.

    Levels are sorted by key, each at least twice as long as the next: finding takes a binary search
    per level, adding as much as merging (some 20 ns per unit and level).
    """

    def __init__(self, width: int, most: int = MOST) -> None:
        self._np = library("numpy")
        self._width = width
        self._most = most
        self._levels: list[tuple[Any, Any]] = []
        self.count = 0
        self.repeated = False
        self.complete = True
        """False once a unit came again whose sums were given up: nothing can be said of units any more."""

    def contains(self, keys: Any) -> Any:
        """Which of these keys are known."""
        found = self._np.zeros(len(keys), dtype=bool)
        for known, _ in self._levels:
            found |= self._places(known, keys)[1]
        return found

    def add(self, keys: Any, sums: Any) -> Any:
        """Add to the sums of these units (sorted, each once); returns what they were, 0 for new ones."""
        np = self._np
        before = np.zeros((len(keys), self._width))
        known = np.zeros(len(keys), dtype=bool)
        for level, values in self._levels:
            place, hit = self._places(level, keys)
            known |= hit
            if values is not None:
                before[hit] += values[place[hit]]
            elif hit.any():
                self.complete = False
        new = int((~known).sum())
        self.count += new
        self.repeated = self.repeated or new < len(keys)
        if self._levels and self._levels[0][1] is None:
            sums = None
        self._levels.append((keys, sums))
        while len(self._levels) > 1 and len(self._levels[-2][0]) <= 2 * len(self._levels[-1][0]):
            self._merge()
        if sums is not None and self.count > self._most and not self.repeated:
            self._levels = [(level, None) for level, _ in self._levels]
        return before

    def _places(self, level: Any, keys: Any) -> tuple[Any, Any]:
        np = self._np
        place = np.minimum(np.searchsorted(level, keys), len(level) - 1)
        return place, level[place] == keys

    def _merge(self) -> None:
        np = self._np
        (left, a), (right, b) = self._levels[-2:]
        keys = np.concatenate([left, right])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sums = None if a is None or b is None else np.add.reduceat(np.concatenate([a, b])[order], first)
        self._levels[-2:] = [(keys[first], sums)]
