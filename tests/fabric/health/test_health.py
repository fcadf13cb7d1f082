"""The figures of a provider's health, from calls that are known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.core.landscape.calls.history import CallSample
from elspeth.fabric.health import ProviderHealth, WindowFigures, health_of
from elspeth.fabric.health.figures import quantile, wilson_lower
from elspeth.fabric.health.history import fault_of
from elspeth.fabric.manifest import Manifest

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TARGETS = {"availability": 0.99, "latency_p95_ms": 100}
READ = {"id": "read", "operations": ["get", "list"], "slo_targets": TARGETS}
MANIFEST = Manifest.model_validate({"provider": "p", "version": "2026-01-01", "capabilities": [READ]})


def call(ago_h: float = 0.1, operation: str | None = "get", ms: float = 10.0, **other: Any) -> CallSample:
    status, reason = other.get("status"), other.get("reason", "")
    ok = status is None and not reason
    return CallSample("p", "blob", operation, ok, NOW - timedelta(hours=ago_h), ms, status, reason)


def health(*calls: CallSample, manifest: Manifest | None = MANIFEST) -> ProviderHealth:
    return health_of(calls, {} if manifest is None else {"p": manifest}, NOW)[0]


def window(found: ProviderHealth, name: str = "1h", capability: str = "read") -> WindowFigures:
    return next(one for one in found.capabilities if one.capability == capability).windows[name]


def test_each_window_has_its_own_calls() -> None:
    found = health(call(0.5), call(5), call(200), call(10_000))
    assert [window(found, name).calls for name in ("1h", "24h", "30d")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("status", "reason", "fault"),
    [
        (500, "", "failed"), (503, "", "failed"), (408, "", "failed"), (None, "no_answer", "failed"),
        (None, "timeout", "failed"), (429, "", "throttled"), (None, "rate_limited", "throttled"),
        (404, "", "refused"), (409, "blob_exists", "refused"), (400, "content_filter", "refused"),
    ],
)  # fmt: skip
def test_whose_fault_it_was(status: int | None, reason: str, fault: str) -> None:
    assert fault_of(call(status=status, reason=reason or "x")) == fault


def test_availability_budget_and_burn_rate_against_the_promise() -> None:
    calls = [call() for _ in range(98)] + [call(status=500), call(status=500)]
    found = window(health(*calls, call(status=429), call(status=404)))
    assert (found.calls, found.failed, found.throttled, found.refused, found.counted) == (102, 2, 1, 1, 100)
    assert found.availability == pytest.approx(0.98)
    assert found.burn_rate == pytest.approx(2.0)  # 2 % failed, 1 % may
    assert found.budget_left == pytest.approx(-1.0)


def test_latency_is_of_what_succeeded_and_held_against_the_promise() -> None:
    calls = [call(ms=float(number)) for number in range(1, 101)]
    found = window(health(*calls, call(ms=9999.0, status=500)))
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (50.0, 95.0, 99.0)
    assert found.latency_met is True
    late = window(health(call(ms=200.0)))
    assert (late.latency_met, late.slow) == (False, 1)


def test_what_no_capability_lists_is_other_and_without_a_manifest_each_operation_is_one() -> None:
    found = health(call(operation="delete"))
    assert window(found, capability="other").target is None
    bare = health(call(operation="delete"), call(operation=None), manifest=None)
    assert [one.capability for one in bare.capabilities] == ["blob", "delete"]
    assert not bare.promised


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    found = window(health())
    unknown = (found.availability, found.burn_rate, found.budget_left, found.latency_met, found.p95_ms)
    assert unknown == (None,) * 5
    assert health().reputation is None


def test_reputation_needs_many_good_calls() -> None:
    few, many = health(*[call()] * 5).reputation, health(*[call()] * 5000).reputation
    assert few is not None
    assert many is not None
    assert few < 60 < 99.9 < many
    assert health(*[call(ms=500.0)] * 5000).reputation == pytest.approx(0.0)


def test_the_interval_is_wilsons() -> None:
    # R: prop.test(95, 100, correct = FALSE)$conf.int[1]
    assert wilson_lower(95, 100) == pytest.approx(0.8882495, abs=1e-6)


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_interval_is_below_the_share(good: int, more: int) -> None:
    of = good + more
    assert 0 <= wilson_lower(good, of) <= good / of + 1e-12


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_with_enough_below(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert found is not None
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
