"""Verdicts, guardrails, confidence sequences, power; and what cannot be told."""

import random

import pytest

from elspeth.experiments.statistics.bootstrap import bootstrap
from elspeth.experiments.statistics.cuped import cuped
from elspeth.experiments.statistics.effects import CannotTellError, Effect, lift
from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.paired import Discordance, mcnemar, paired_clusters, paired_t
from elspeth.experiments.statistics.power import (
    Plan,
    achieved,
    detectable,
    detectable_from,
    needed,
    needed_pairs,
    share_sd,
)
from elspeth.experiments.statistics.proportions import Share, proportions
from elspeth.experiments.statistics.quantiles import quantile
from elspeth.experiments.statistics.ratios import ratios
from elspeth.experiments.statistics.sequential import always_valid
from elspeth.experiments.statistics.srm import sample_ratio
from elspeth.experiments.statistics.sums import Sums, sums_of
from elspeth.experiments.statistics.verdict import GuardrailState, Verdict, guard, judge


def effect(low: float, high: float, p: float = 0.01) -> Effect:
    middle = (low + high) / 2
    return Effect("test", middle, (high - low) / 4, low, high, p, 0.95)


@pytest.mark.parametrize(
    ("low", "high", "p", "increase", "margin", "verdict"),
    [
        (0.1, 0.3, 0.01, True, None, Verdict.BETTER),
        (0.1, 0.3, 0.01, False, None, Verdict.WORSE),
        (0.1, 0.3, 0.06, True, None, Verdict.INCONCLUSIVE),
        (-0.1, 0.3, 0.2, True, None, Verdict.INCONCLUSIVE),
        (-0.1, 0.3, 0.2, True, 0.2, Verdict.NON_INFERIOR),
        (-0.1, 0.3, 0.2, False, 0.2, Verdict.INCONCLUSIVE),
        (-0.3, 0.1, 0.2, False, 0.2, Verdict.NON_INFERIOR),
        (-0.15, -0.05, 0.001, True, 0.2, Verdict.NON_INFERIOR),
        (-0.25, -0.05, 0.001, True, 0.2, Verdict.WORSE),
        (0.05, 0.15, 0.001, True, 0.2, Verdict.BETTER),
    ],
)
def test_verdicts(
    low: float, high: float, p: float, increase: bool, margin: float | None, verdict: Verdict
) -> None:
    assert judge(effect(low, high), p, increase_is_good=increase, margin=margin) is verdict
    assert (
        judge(effect(low, high), p, increase_is_good=increase, margin=margin, valid=False) is Verdict.INVALID
    )


def test_guardrails() -> None:
    assert guard(effect(0.3, 0.5), 0.2, increase_is_bad=True) is GuardrailState.BROKEN
    assert guard(effect(0.1, 0.5), 0.2, increase_is_bad=True) is GuardrailState.UNSURE
    assert guard(effect(-0.5, 0.1), 0.2, increase_is_bad=True) is GuardrailState.HELD
    assert guard(effect(-0.5, -0.3), 0.2, increase_is_bad=False) is GuardrailState.BROKEN


def test_a_confidence_sequence_is_wider_and_its_p_fits_its_interval() -> None:
    source = random.Random(3)
    control = sums_of(source.gauss(0, 1) for _ in range(2500))
    fixed = welch(control, sums_of(source.gauss(0.2, 1) for _ in range(2500)))
    sequence = always_valid(fixed, 5000)
    assert sequence.low < fixed.low < fixed.high < sequence.high
    assert 1.3 < (sequence.high - sequence.low) / (fixed.high - fixed.low) < 1.7
    assert (sequence.p < 0.05) == (sequence.low > 0)
    edge = Effect("x", (sequence.high - sequence.low) / 2, fixed.se, 0, 0, 0, 0.95)
    assert always_valid(edge, 5000).p == pytest.approx(0.05, rel=1e-9)


def test_power_as_the_tables_say() -> None:
    # Cohen (1988), table 2.4.1: d = 0.5, two-sided 5 %, 80 %: 64 in each group.
    assert needed(0.5, 1.0, Plan()) == 128
    assert detectable(64, 64, 1.0, Plan()) == pytest.approx(0.5, abs=0.002)
    assert achieved(0.5, 64, 64, 1.0) == pytest.approx(0.80, abs=0.005)
    assert needed(0.5, 1.0, Plan(share=0.1)) > 300
    assert needed_pairs(0.5, 1.0, Plan()) == 34
    assert share_sd(0.5, 0.0) == 0.5
    assert detectable_from(1.0) == pytest.approx(2.8015852, rel=1e-6)


def test_the_relative_effect() -> None:
    found = lift((2.0, 0.01), (3.0, 0.01), 0.95)
    assert found is not None
    assert found.relative == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert lift((0.1, 0.01), (3.0, 0.01), 0.95) is None
    assert lift((0.0, 0.0), (3.0, 0.01), 0.95) is None


def test_a_stray_unit_in_a_variant_without_weight_is_a_mismatch() -> None:
    assert not sample_ratio([50, 50, 1], [50, 50, 0]).ok
    assert sample_ratio([50, 50, 0], [50, 50, 0]).ok
    assert sample_ratio([0, 0], [50, 50]).ok
    assert sample_ratio([7], [100]).p == 1


def test_what_cannot_be_told_is_an_error_that_says_why() -> None:
    one, none, equal = sums_of([1.0]), Sums(), sums_of([2.0, 2.0, 2.0])
    for tell, why in (
        (lambda: welch(one, equal), "two values each, there are 1 and 3"),
        (lambda: welch(none, none), "there are 0 and 0"),
        (lambda: welch(equal, equal), "do not vary"),
        (lambda: proportions(Share(0, 0), Share(1, 2)), "there are 0 and 2"),
        (lambda: proportions(Share(0, 5), Share(0, 9)), "all outcomes are the same"),
        (lambda: ratios(one, equal), "two units each"),
        (lambda: cuped(equal, equal), "covariate does not vary"),
        (lambda: cuped(one, equal), "there are 1 and 3"),
        (lambda: paired_t(one), "there are 1"),
        (lambda: paired_t(equal), "do not vary"),
        (lambda: paired_clusters(one), "two units"),
        (lambda: mcnemar(Discordance(0, 0, 0, 0)), "no pair"),
        (lambda: quantile([1.0], [0], 0.5), "there are 1"),
        (lambda: quantile([1.0, 2.0, 3.0], range(3), 0.95), "3 values are too few"),
        (lambda: quantile([1.0, 2.0, 3.0], [0, 0, 0], 0.5), "one unit"),
        (lambda: bootstrap([1.0], [1.0, 2.0], max, seed=1), "there are 1 and 2"),
        (lambda: always_valid(Effect("x", 1, 0, 1, 1, 1, 0.95), 9), "do not vary"),
        (lambda: needed(0, 1, Plan()), "effect of 0"),
        (lambda: needed_pairs(0, 1, Plan()), "effect of 0"),
        (lambda: detectable(1, 5, 1, Plan()), "two units each"),
        (lambda: share_sd(0.9, 0.2), "not both shares"),
    ):
        with pytest.raises(CannotTellError, match=why):
            tell()
