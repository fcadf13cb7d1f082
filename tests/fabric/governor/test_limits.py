"""Buckets, the adaptive limit, the breaker, and the service that puts them together. Time is a number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.fabric.governor import (
    AdaptiveLimit,
    BreakerState,
    Bucket,
    CircuitBreaker,
    Governor,
    ServiceGovernor,
    ServiceLimits,
)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(per_minute=120)
    taken = 0
    for _ in range(10):
        if bucket.wait(0.0) == 0.0:
            bucket.take(0.0)
            taken += 1
    assert taken == 2
    assert bucket.wait(0.0) == pytest.approx(0.5)
    assert bucket.wait(0.5) == 0.0


def test_more_than_the_burst_waits_for_a_full_bucket_and_is_owed() -> None:
    bucket = Bucket(per_minute=60, burst=10)
    assert bucket.wait(0.0, 25) == 0.0
    bucket.take(0.0, 25)
    assert bucket.wait(0.0, 1) == pytest.approx(16.0)
    bucket.give_back(20)
    assert bucket.wait(0.0, 1) == 0.0


@settings(max_examples=60, deadline=None)
@given(st.floats(1, 6000), st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50)), min_size=1, max_size=60))
def test_no_minute_sees_more_than_rate_and_burst(rate: float, wishes: list[tuple[float, int]]) -> None:
    bucket, now, taken = Bucket(rate), 0.0, []
    for pause, amount in wishes:
        now += pause
        amount = min(amount, int(bucket.burst))
        now += bucket.wait(now, amount) + 1e-6
        bucket.take(now, amount)
        taken.append((now, amount))
    for start, _ in taken:
        within = sum(amount for at, amount in taken if start <= at < start + 60)
        assert within <= rate + bucket.burst + 1e-3


def test_a_throttled_service_gets_less_once_per_second_and_recovers() -> None:
    limit = AdaptiveLimit(100)
    for _ in range(20):
        limit.throttled(5.0, None)
    assert limit.allowed == 70
    limit.throttled(6.0, retry_after=3)
    assert (limit.allowed, limit.pause(7.0), limit.pause(9.0)) == (49, 2.0, 0.0)
    for _ in range(10_000):
        limit.answered()
    assert limit.allowed == 100


def test_it_never_falls_to_nothing() -> None:
    limit = AdaptiveLimit(3)
    for second in range(50):
        limit.throttled(float(second), None)
    assert limit.allowed == 1


def test_the_breaker_opens_tries_and_closes() -> None:
    breaker = CircuitBreaker(window=10, threshold=0.9, open_s=2.0, longest_s=5.0)
    for _ in range(10):
        breaker.failed(0.0)
    assert (breaker.state, breaker.wait(0.5)) == (BreakerState.OPEN, 1.5)
    assert breaker.wait(2.0) == 0.0
    breaker.began()
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.wait(2.0) > 0
    breaker.failed(2.0)
    assert (breaker.state, breaker.wait(2.0)) == (BreakerState.OPEN, 4.0)
    breaker.began()
    breaker.failed(6.0)
    assert breaker.wait(6.0) == 5.0
    breaker.began()
    breaker.abandoned()
    assert breaker.state is BreakerState.OPEN
    breaker.began()
    breaker.succeeded()
    assert (breaker.state, breaker.opened) == (BreakerState.CLOSED, 3)


def test_a_bad_day_is_not_an_outage() -> None:
    breaker = CircuitBreaker()
    for number in range(1000):
        if number % 3:
            breaker.failed(0.0)
        else:
            breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_a_service_is_shared_by_all_who_name_it() -> None:
    governor = Governor({"azure": ServiceLimits(requests_per_minute=60)})
    one, other = governor.service("azure"), governor.service("azure")
    assert one is other
    one.join(2)
    other.join(3)
    assert one.state(0.0).allowed == 5
    assert one.admit(0.0) == 0.0
    assert other.admit(0.0) == pytest.approx(1.0)
    assert set(governor.services()) == {"azure"}


def test_calls_in_flight_are_counted_whatever_comes_of_them() -> None:
    service = ServiceGovernor(ServiceLimits())
    service.join(4)
    for _ in range(4):
        assert service.admit(0.0) == 0.0
    assert service.admit(0.0) > 0
    service.answered()
    service.failed(0.0)
    service.abandoned()
    service.throttled(0.0, retry_after=2)
    state = service.state(0.5)
    assert (state.in_flight, state.throttled, state.paused_s) == (0, 1, 1.5)
    assert service.admit(0.5) == 1.5


def test_tokens_that_were_not_used_are_given_back() -> None:
    service = ServiceGovernor(ServiceLimits(tokens_per_minute=60_000))
    service.join(10)
    assert service.admit(0.0, tokens=1000) == 0.0
    assert service.admit(0.0, tokens=500) == pytest.approx(0.5)
    service.answered(1000, 100)
    assert service.admit(0.0, tokens=500) == 0.0
