"""What the formulas promise about many experiments, tried on many experiments. Seeds are fixed."""

import random

import numpy as np
import pytest

from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.paired import paired_t
from elspeth.experiments.statistics.proportions import Share, newcombe
from elspeth.experiments.statistics.sequential import always_valid
from elspeth.experiments.statistics.sums import Sums, sums_of


def peeked(experiments: int, seed: int) -> tuple[float, float]:
    """Shares of A/A tests, looked at 20 times, that some look called different: sequence, and t-test."""
    random = np.random.Generator(np.random.PCG64(seed))
    by_sequence = by_test = 0
    for _ in range(experiments):
        control = variant = Sums()
        sequence_alarm = test_alarm = False
        for _ in range(20):
            control += sums_of(random.normal(size=100).tolist())
            variant += sums_of(random.normal(size=100).tolist())
            effect = welch(control, variant)
            test_alarm |= effect.p < 0.05
            sequence_alarm |= always_valid(effect, control.n + variant.n).p < 0.05
        by_sequence += sequence_alarm
        by_test += test_alarm
    return by_sequence / experiments, by_test / experiments


def coverage(experiments: int, seed: int) -> tuple[float, float]:
    """How often Welch's and Newcombe's intervals held the truth."""
    random = np.random.Generator(np.random.PCG64(seed))
    welch_hits = newcombe_hits = 0
    for _ in range(experiments):
        effect = welch(
            sums_of(random.normal(1.0, 1.0, 60).tolist()), sums_of(random.normal(1.3, 2.0, 40).tolist())
        )
        welch_hits += effect.low <= 0.3 <= effect.high
        low, high = newcombe(
            Share(int(random.binomial(80, 0.3)), 80), Share(int(random.binomial(60, 0.45)), 60)
        )
        newcombe_hits += low <= 0.15 <= high
    return welch_hits / experiments, newcombe_hits / experiments


def test_peeking_at_an_a_a_test_misleads_a_t_test_and_not_the_sequence() -> None:
    sequence, test = peeked(200, seed=1)
    assert sequence < 0.05
    assert test > 0.15


@pytest.mark.soak
def test_peeking_at_many_a_a_tests() -> None:
    sequence, test = peeked(4000, seed=2)
    assert sequence < 0.05
    assert 0.22 < test < 0.28


@pytest.mark.soak
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    assert coverage(20_000, seed=3) == pytest.approx((0.95, 0.95), abs=0.01)


@pytest.mark.soak
def test_pairs_see_what_groups_do_not() -> None:
    source = random.Random(4)
    paired = unpaired = 0
    for _ in range(1000):
        base = [source.gauss(0, 1) for _ in range(60)]
        control = base
        # Correlation 0.7 with the control, the same variance, and an effect of 0.3.
        variant = [0.3 + 0.7 * value + (1 - 0.49) ** 0.5 * source.gauss(0, 1) for value in base]
        paired += paired_t(sums_of(b - a for a, b in zip(control, variant, strict=True))).p < 0.05
        unpaired += welch(sums_of(control), sums_of(variant)).p < 0.05
    assert paired > 1.5 * unpaired
