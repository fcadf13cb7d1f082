"""GrowthBook's statistics (gbstats 0.8), in an environment of its own: `make oracles`."""

import random

import pytest
from gbstats.frequentist.tests import (
    FrequentistConfig,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import (
    ProportionStatistic,
    QuantileClusteredStatistic,
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
    compute_theta,
)
from gbstats.utils import check_srm

from elspeth.experiments.statistics.cuped import cuped
from elspeth.experiments.statistics.effects import Effect, lift
from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.quantiles import quantile
from elspeth.experiments.statistics.ratios import ratios
from elspeth.experiments.statistics.sequential import always_valid
from elspeth.experiments.statistics.srm import sample_ratio
from elspeth.experiments.statistics.sums import Sums, sums_of

REL = 1e-6
SEEDS = range(20)


def drawn(seed: int) -> tuple[Sums, Sums]:
    """Control and variant of one experiment: values, and what goes with them."""
    source = random.Random(seed)
    found = []
    for _ in range(2):
        n = source.randint(20, 400)
        mean, sd = source.uniform(1, 50), source.uniform(0.5, 20)
        others = [source.gauss(10, 2) for _ in range(n)]
        values = [mean + sd * source.gauss(0, 1) + 0.7 * other for other in others]
        found.append(sums_of(values, others).moved(0.0, 0.0))
    return found[0], found[1]


def mean_of(sums: Sums) -> SampleMeanStatistic:
    return SampleMeanStatistic(n=sums.n, sum=sums.x, sum_squares=sums.xx)


def other_of(sums: Sums) -> SampleMeanStatistic:
    return SampleMeanStatistic(n=sums.n, sum=sums.y, sum_squares=sums.yy)


def absolute() -> FrequentistConfig:
    return FrequentistConfig(difference_type="absolute")


def agree(ours: Effect, theirs: TwoSidedTTest | SequentialTwoSidedTTest) -> None:
    low, high = theirs.confidence_interval
    assert (ours.difference, ours.low, ours.high) == pytest.approx(
        (theirs.point_estimate, low, high), rel=REL
    )
    # gbstats takes 1 - cdf, which has no digits left below 1e-10.
    assert ours.p == pytest.approx(theirs.p_value, rel=REL, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_means(seed: int) -> None:
    control, variant = drawn(seed)
    theirs = TwoSidedTTest(mean_of(control), mean_of(variant), absolute())
    ours = welch(control, variant)
    agree(ours, theirs)
    assert ours.df == pytest.approx(theirs.dof, rel=REL)


@pytest.mark.parametrize("seed", SEEDS)
def test_confidence_sequences(seed: int) -> None:
    control, variant = drawn(seed)
    config = SequentialConfig(difference_type="absolute")
    theirs = SequentialTwoSidedTTest(mean_of(control), mean_of(variant), config)
    agree(always_valid(welch(control, variant), control.n + variant.n), theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_ratios(seed: int) -> None:
    control, variant = drawn(seed)
    stats = [RatioStatistic(s.n, mean_of(s), other_of(s), s.xy) for s in (control, variant)]
    agree(ratios(control, variant), TwoSidedTTest(*stats, absolute()))


@pytest.mark.parametrize("seed", SEEDS)
def test_cuped(seed: int) -> None:
    control, variant = drawn(seed)
    stats = [RegressionAdjustedStatistic(s.n, mean_of(s), other_of(s), s.xy, 0.0) for s in (control, variant)]
    theta = compute_theta(*stats)
    for one in stats:
        one.theta = theta
    ours = cuped(control, variant)
    agree(ours.effect, TwoSidedTTest(*stats, absolute()))
    assert ours.theta == pytest.approx(theta, rel=REL)


@pytest.mark.parametrize("seed", SEEDS)
def test_lift(seed: int) -> None:
    control, variant = drawn(seed)
    theirs = TwoSidedTTest(mean_of(control), mean_of(variant), FrequentistConfig(difference_type="relative"))
    ours = lift(
        (control.mean, control.variance / control.n), (variant.mean, variant.variance / variant.n), 0.95
    )
    assert ours is not None
    assert ours.relative == pytest.approx(theirs.point_estimate, rel=REL)
    # Theirs by t, ours by the normal distribution: the standard errors are the same.
    half = (ours.high - ours.low) / 2 / 1.959963984540054
    assert half == pytest.approx(theirs.variance**0.5, rel=REL)


def test_shares_by_their_normal_approximation() -> None:
    stat = ProportionStatistic(n=400, sum=120)
    sums = Sums(400, 120, 120)
    assert sums.variance * 399 / 400 == pytest.approx(stat.variance, rel=REL)


@pytest.mark.parametrize("seed", SEEDS)
def test_quantiles_of_clusters(seed: int) -> None:
    source = random.Random(seed)
    values, clusters = [], []
    for cluster in range(source.randint(100, 200)):
        middle = source.gauss(50, 5)
        for _ in range(source.randint(1, 9)):
            values.append(source.gauss(middle, 3))
            clusters.append(cluster)
    ours = quantile(values, clusters, 0.8)
    below: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for value, cluster in zip(values, clusters, strict=True):
        below[cluster] = below.get(cluster, 0) + (value <= ours.value)
        sizes[cluster] = sizes.get(cluster, 0) + 1
    parts = sums_of(below.values(), sizes.values()).moved(0.0, 0.0)
    theirs = QuantileClusteredStatistic(
        n=len(values), n_star=len(values), nu=0.8, quantile_hat=ours.value, quantile_lower=ours.low,
        quantile_upper=ours.high, main_sum=parts.x, main_sum_squares=parts.xx, denominator_sum=parts.y,
        denominator_sum_squares=parts.yy, main_denominator_sum_product=parts.xy, n_clusters=parts.n,
    )  # fmt: skip
    # They measure the density around the quantile by an interval for independent rows, we by one for
    # clusters: their se is that density times the same clustered error of the share.
    share_se = theirs.get_cluster_variance**0.5
    z = 1.959963984540054
    assert (ours.high - ours.low) / (2 * z) == pytest.approx(ours.se, rel=REL)
    ordered = sorted(values)
    n = len(values)
    ranks = int(n * (0.8 - z * share_se)), -int(-n * (0.8 + z * share_se) // 1) + 1
    assert (ours.low, ours.high) == (ordered[ranks[0] - 1], ordered[ranks[1] - 1])


@pytest.mark.parametrize(
    ("counts", "weights"),
    [([821588, 815482], [50, 50]), ([10, 20, 30], [1, 1, 1]), ([480, 530, 990], [25, 25, 50])],
)
def test_sample_ratio(counts: list[int], weights: list[float]) -> None:
    assert sample_ratio(counts, weights).p == pytest.approx(check_srm(counts, weights), rel=REL)
