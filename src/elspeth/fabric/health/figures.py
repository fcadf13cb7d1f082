"""The figures: what is counted as what, and what follows from it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from elspeth.fabric.manifest.model import Slo

WINDOWS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "30d": timedelta(days=30),
}
REPUTATION_WINDOW = "30d"
_Z = 1.959963984540054  # 95 %, both sides


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """One capability in one window of time.

    ``failed``: no answer, or an answer that says that the provider could not (5xx, 408). ``throttled``: it
    asked us to come more slowly (429); ``refused``: what we asked for was wrong (other 4xx). Neither of the
    last two counts against availability. Latencies are those of calls that succeeded.
    """

    calls: int
    failed: int
    throttled: int
    refused: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    slow: int
    target: Slo | None

    @property
    def counted(self) -> int:
        """Calls that count: all but those that were throttled or refused."""
        return self.calls - self.throttled - self.refused

    @property
    def availability(self) -> float | None:
        """The share of the calls that count that did not fail; None where there are none."""
        return 1 - self.failed / self.counted if self.counted else None

    @property
    def budget_left(self) -> float | None:
        """What is left of the error budget: 1 all, 0 none, less than 0 overdrawn; None without target or
        calls.

        The budget of a window is (1 - target) times its calls.
        """
        rate = self.burn_rate
        return None if rate is None else 1 - rate

    @property
    def burn_rate(self) -> float | None:
        """How fast the error budget is used up: 1 is as fast as the target allows, 10 ten times that."""
        if self.target is None or self.availability is None:
            return None
        return (1 - self.availability) / (1 - self.target.availability)

    @property
    def latency_met(self) -> bool | None:
        """Whether 95 of 100 calls were as fast as promised; None without target or calls."""
        if self.target is None or self.target.latency_p95_ms is None or self.p95_ms is None:
            return None
        return self.p95_ms <= self.target.latency_p95_ms


@dataclass(frozen=True, slots=True)
class CapabilityHealth:
    """One capability of a provider, by window (`WINDOWS`)."""

    capability: str
    windows: Mapping[str, WindowFigures]


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """One provider. ``promised``: whether there is a manifest of it to compare with."""

    provider: str
    capabilities: tuple[CapabilityHealth, ...]
    promised: bool

    @property
    def reputation(self) -> float | None:
        """0 to 100, shown and used for nothing: the share of good calls of 30 days that is certain enough.

        Good is a call that did not fail and was as fast as promised. Of that share the lower end of its 95 %
        interval (Wilson, 1927) counts, so that few calls make no name. None where there are no calls.
        """
        found = [one.windows[REPUTATION_WINDOW] for one in self.capabilities]
        calls = sum(one.counted for one in found)
        good = calls - sum(one.failed + one.slow for one in found)
        return None if calls == 0 else 100 * wilson_lower(good, calls)


def wilson_lower(good: int, of: int) -> float:
    """The lower end of the 95 % score interval of a share (E. B. Wilson, JASA 22, 1927)."""
    share, z2 = good / of, _Z * _Z
    middle = share + z2 / (2 * of)
    spread = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (middle - spread) / (1 + z2 / of))


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that is not less than this share of all (nearest rank); None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
