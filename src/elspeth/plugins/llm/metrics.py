"""What a node's calls have come to so far, for progress and for whoever pays."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from elspeth.plugins.llm.completion import Answer

_SAMPLED = 2048


@dataclass(slots=True)
class CallMetrics:
    """Counts of one node; written on the loop's thread, read anywhere."""

    rows_accepted: int = 0
    rows_succeeded: int = 0
    rows_failed: int = 0
    calls: int = 0
    calls_succeeded: int = 0
    calls_failed: int = 0
    calls_reused: int = 0
    calls_cached: int = 0
    retries: int = 0
    repairs: int = 0
    throttled: int = 0
    drifted: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)
    kinds: dict[str, int] = field(default_factory=dict)
    drift: list[dict[str, Any]] = field(default_factory=list)
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLED))

    def began(self) -> None:
        """A call is under way."""
        self.calls += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def ended(self, answer: Answer, cost: Decimal | None) -> None:
        """A call is over."""
        self.in_flight -= 1
        self._latencies.append(answer.latency_ms)
        self.tokens_in += answer.tokens_in or 0
        self.tokens_out += answer.tokens_out or 0
        self.cost += cost or 0
        if answer.failure is None:
            self.calls_succeeded += 1
            return
        self.calls_failed += 1
        kind = answer.failure.kind.value
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """Everything, JSON-able; latencies in milliseconds over the last 2,048 calls."""
        slowest = sorted(self._latencies)
        found: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "rows_accepted", "rows_succeeded", "rows_failed", "calls", "calls_succeeded", "calls_failed",
                "calls_reused", "calls_cached", "retries", "repairs", "throttled", "drifted", "in_flight",
                "peak_in_flight", "tokens_in", "tokens_out",
            )
        }  # fmt: skip
        found["cost"] = float(self.cost)
        found["errors"] = dict(self.kinds)
        found["drift"] = list(self.drift)
        found["latency_p50_ms"] = _quantile(slowest, 0.5)
        found["latency_p95_ms"] = _quantile(slowest, 0.95)
        return found


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None
