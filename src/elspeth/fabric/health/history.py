"""From calls on record to figures: which capability a call was of, and whose fault it was if it failed."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from elspeth.core.landscape.calls.history import CallSample
from elspeth.fabric.health.figures import WINDOWS, CapabilityHealth, ProviderHealth, WindowFigures, quantile
from elspeth.fabric.manifest.model import Capability, Manifest, Slo

OTHER = "other"
# Words of our own record where no HTTP status says it.
_THROTTLED = frozenset({"rate_limited", "throttled"})
_OURS = frozenset(
    {
        "bad_request", "blob_exists", "circuit_open", "content_filter", "context_too_long", "drift",
        "invalid_output", "invalid_text", "missing_field", "model_not_found", "not_recorded",
        "quota_exceeded", "refusal", "refused_key", "template_error",
    }
)  # fmt: skip


@dataclass(slots=True)
class _Counts:
    target: Slo | None
    calls: int = 0
    failed: int = 0
    throttled: int = 0
    refused: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))

    def take(self, call: CallSample) -> None:
        self.calls += 1
        if call.ok:
            if call.latency_ms is not None:
                self.latencies.append(call.latency_ms)
            return
        fault = fault_of(call)
        self.throttled += fault == "throttled"
        self.refused += fault == "refused"
        self.failed += fault == "failed"

    def figures(self) -> WindowFigures:
        ordered = sorted(self.latencies)
        limit = self.target.latency_p95_ms if self.target is not None else None
        slow = 0 if limit is None else sum(latency > limit for latency in ordered)
        p50, p95, p99 = (quantile(ordered, share) for share in (0.5, 0.95, 0.99))
        return WindowFigures(
            self.calls, self.failed, self.throttled, self.refused, p50, p95, p99, slow, self.target
        )


def fault_of(call: CallSample) -> str:
    """Why a call did not succeed: ``failed`` (the provider's fault), ``throttled`` or ``refused`` (ours)."""
    status = call.http_status
    if status == 429 or call.reason in _THROTTLED:
        return "throttled"
    if call.reason in _OURS or (status is not None and 400 <= status < 500 and status != 408):
        return "refused"
    return "failed"


def health_of(
    calls: Iterable[CallSample], manifests: Mapping[str, Manifest], now: datetime
) -> tuple[ProviderHealth, ...]:
    """The health of every provider that was called or that there is a manifest of, by name.

    ``calls`` are those of the longest of the `WINDOWS` before ``now``. A call belongs to the capability in
    whose ``operations`` what it asked for is listed, else to ``other``; without a manifest every operation is
    a capability.
    """
    known = {name: _Known(manifest) for name, manifest in manifests.items()}
    counts: dict[str, dict[str, dict[str, _Counts]]] = {name: {} for name in known}
    for name, promised in known.items():
        for capability in promised.capabilities:
            counts[name][capability.id] = _empty(capability.slo_targets)
    for call in calls:
        of = known.get(call.provider)
        operation = call.operation or call.call_type
        id_ = of.capability_of(operation) if of is not None else operation
        provider = counts.setdefault(call.provider, {})
        windows = provider.setdefault(id_, _empty(None))
        age = now - call.at
        for window, length in WINDOWS.items():
            if age <= length:
                windows[window].take(call)
    return tuple(
        ProviderHealth(
            name,
            tuple(_capability(id_, windows) for id_, windows in sorted(capabilities.items())),
            promised=name in known,
        )
        for name, capabilities in sorted(counts.items())
    )


class _Known:
    def __init__(self, manifest: Manifest) -> None:
        self.capabilities: Sequence[Capability] = manifest.capabilities
        self._by_operation = {
            operation: capability.id
            for capability in manifest.capabilities
            for operation in capability.operations
        }

    def capability_of(self, operation: str) -> str:
        return self._by_operation.get(operation, OTHER)


def _empty(target: Slo | None) -> dict[str, _Counts]:
    return {window: _Counts(target) for window in WINDOWS}


def _capability(id_: str, windows: Mapping[str, _Counts]) -> CapabilityHealth:
    return CapabilityHealth(id_, {name: counts.figures() for name, counts in windows.items()})
