"""Sums can be split, merged and shifted, and stay what they are."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.experiments.statistics.sums import Sums, sums_of

numbers = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=40)


@given(numbers, st.integers(0, 40), st.floats(-1e6, 1e6))
def test_merging_parts_is_summing_the_whole(values: list[float], at: int, shift: float) -> None:
    others = values[::-1]
    whole = sums_of(values, others)
    parts = sums_of(values[:at], others[:at]) + sums_of(values[at:], others[at:]).moved(shift, -shift)
    # A shift that is far from all values loses as many digits as values that are far from 0.
    scale = max(1.0, abs(shift), max(abs(value) for value in values)) ** 2
    assert parts.n == whole.n
    assert parts.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-6)
    assert parts.variance == pytest.approx(whole.variance, rel=1e-6, abs=1e-12 * scale)
    assert parts.covariance == pytest.approx(whole.covariance, rel=1e-6, abs=1e-12 * scale)


def test_large_values_keep_their_variance() -> None:
    values = [1e12 + 0.25 * step for step in range(1000)]
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
    assert sums_of(values).variance == pytest.approx(float(variance), rel=1e-12)


def test_few_values() -> None:
    assert Sums().variance == 0
    assert sums_of([3.0]).variance == 0
    assert sums_of([3.0]).mean == 3
    assert sums_of([2.0] * 5).variance == 0
    assert Sums() + sums_of([1.0, 2.0]) == sums_of([1.0, 2.0])
