"""How often Azure Resource Manager may be asked: token buckets, per subscription."""

import math
from dataclasses import dataclass, field

SIZES = {"reads": (250.0, 25.0), "writes": (200.0, 10.0), "deletes": (200.0, 10.0)}
"""Of each kind of request: how many at once, and how many more per second."""


@dataclass(slots=True)
class Buckets:
    """The buckets of one subscription. ``sizes`` as `SIZES`."""

    sizes: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(SIZES))
    _level: dict[str, tuple[float, float]] = field(default_factory=dict)
    refused: int = 0

    def take(self, method: str, now: float) -> tuple[str, int, int]:
        """Take a token. Gives the bucket, what is left, and the seconds to wait (0: taken)."""
        name = {"DELETE": "deletes", "GET": "reads", "HEAD": "reads"}.get(method, "writes")
        size, rate = self.sizes[name]
        level, then = self._level.get(name, (size, now))
        level = min(size, level + max(0.0, now - then) * rate)
        if level < 1.0:
            self._level[name] = (level, now)
            self.refused += 1
            return name, 0, max(1, math.ceil((1.0 - level) / rate))
        self._level[name] = (level - 1.0, now)
        return name, int(level - 1.0), 0
