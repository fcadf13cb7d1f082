"""Our formulas against libraries that other people wrote."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import tea_tasting.aggr
import tea_tasting.metrics
from scipy import stats
from statsmodels.stats import contingency_tables, multitest, proportion

from elspeth.experiments.statistics.bootstrap import bootstrap
from elspeth.experiments.statistics.cuped import cuped
from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.multiplicity import holm
from elspeth.experiments.statistics.paired import Discordance, mcnemar, paired_t, win_tie_loss
from elspeth.experiments.statistics.proportions import Share, newcombe, proportions, wilson
from elspeth.experiments.statistics.quantiles import quantile, quantile_values, quantiles
from elspeth.experiments.statistics.ratios import ratio_of, ratio_variance, ratios
from elspeth.experiments.statistics.srm import sample_ratio
from elspeth.experiments.statistics.sums import Sums, sums_of

REL = 1e-6


def draws(seed: int, n: int, mean: float = 5.0, sd: float = 2.0) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(mean, sd) for _ in range(n)]


def aggregates(sums: Sums) -> tea_tasting.aggr.Aggregates:
    """Ours in the form of tea-tasting."""
    return tea_tasting.aggr.Aggregates(
        count_=sums.n,
        mean_={"x": sums.mean, "y": sums.mean_y},
        var_={"x": sums.variance, "y": sums.variance_y},
        cov_={("x", "y"): sums.covariance},
    )


@pytest.mark.parametrize("seed", range(5))
def test_welch_as_scipy_and_tea_tasting(seed: int) -> None:
    control, variant = draws(seed, 40 + seed), draws(seed + 100, 60, mean=5.5, sd=3)
    ours = welch(sums_of(control), sums_of(variant))
    theirs = stats.ttest_ind(variant, control, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert (ours.statistic, ours.p, ours.df) == pytest.approx(
        (theirs.statistic, theirs.pvalue, theirs.df), rel=REL
    )
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=REL)
    tea = tea_tasting.metrics.Mean("x").analyze_aggregates(
        aggregates(sums_of(control, control)), aggregates(sums_of(variant, variant))
    )
    assert (ours.low, ours.high, ours.p) == pytest.approx(
        (tea.effect_size_ci_lower, tea.effect_size_ci_upper, tea.pvalue), rel=REL
    )


@pytest.mark.parametrize("seed", range(5))
def test_ratios_as_tea_tasting(seed: int) -> None:
    control = sums_of(draws(seed, 50), draws(seed + 50, 50, mean=20))
    variant = sums_of(draws(seed + 1, 70), draws(seed + 60, 70, mean=21))
    ours = ratios(control, variant)
    tea = tea_tasting.metrics.RatioOfMeans("x", "y").analyze_aggregates(
        aggregates(control), aggregates(variant)
    )
    assert (ours.difference, ours.low, ours.high, ours.p) == pytest.approx(
        (tea.effect_size, tea.effect_size_ci_lower, tea.effect_size_ci_upper, tea.pvalue), rel=REL
    )


def test_cuped_as_tea_tasting() -> None:
    covariate = draws(1, 80), draws(2, 90)
    control = sums_of([x + e for x, e in zip(covariate[0], draws(3, 80), strict=True)], covariate[0])
    variant = sums_of([x + e for x, e in zip(covariate[1], draws(4, 90, 5.4), strict=True)], covariate[1])
    ours = cuped(control, variant)
    tea = tea_tasting.metrics.Mean("x", covariate="y").analyze_aggregates(
        aggregates(control), aggregates(variant)
    )
    assert (ours.effect.difference, ours.effect.low, ours.effect.p) == pytest.approx(
        (tea.effect_size, tea.effect_size_ci_lower, tea.pvalue), rel=REL
    )
    assert 0.3 < ours.reduction < 0.7


def test_clustered_variance_as_regression_with_robust_errors() -> None:
    """A mean over rows with clustered errors, computed row by row from residuals."""
    source = random.Random(7)
    clusters = [[source.gauss(source.gauss(0, 1), 1) for _ in range(source.randint(1, 6))] for _ in range(50)]
    ours = sums_of([sum(values) for values in clusters], [len(values) for values in clusters])
    rows = np.array([value for values in clusters for value in values])
    residuals = [sum(value - rows.mean() for value in values) for values in clusters]
    robust = sum(r * r for r in residuals) / len(rows) ** 2 * len(clusters) / (len(clusters) - 1)
    assert ratio_of(ours) == pytest.approx(rows.mean(), rel=REL)
    assert ratio_variance(ours) == pytest.approx(robust, rel=REL)


@pytest.mark.parametrize(
    ("k", "n", "m", "o"), [(3, 20, 9, 25), (0, 12, 5, 9), (12, 12, 5, 9), (48, 80, 56, 70)]
)
def test_proportions_as_statsmodels(k: int, n: int, m: int, o: int) -> None:
    control, variant = Share(k, n), Share(m, o)
    assert wilson(control) == pytest.approx(
        proportion.proportion_confint(k, n, method="wilson"), rel=REL, abs=1e-12
    )
    theirs = proportion.confint_proportions_2indep(m, o, k, n, method="newcomb", compare="diff")
    assert newcombe(control, variant) == pytest.approx(theirs, rel=REL)
    z, p = proportion.proportions_ztest([m, k], [o, n])
    effect = proportions(control, variant)
    assert (effect.statistic, effect.p) == pytest.approx((z, p), rel=REL)


def test_pairs_as_scipy_and_statsmodels() -> None:
    first, second = draws(1, 30), draws(2, 30, 5.7)
    ours = paired_t(sums_of(b - a for a, b in zip(first, second, strict=True)))
    theirs = stats.ttest_rel(second, first)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=REL)
    table = Discordance(both=40, gained=15, lost=5, neither=10)
    exact = contingency_tables.mcnemar([[40, 5], [15, 10]], exact=True)
    assert mcnemar(table).p == pytest.approx(exact.pvalue, rel=REL)
    found = win_tie_loss([1.0, 2.0, -1.0, 0.0, 3.0])
    assert (found.wins, found.ties, found.losses) == (3, 1, 1)
    assert found.p == pytest.approx(stats.binomtest(3, 4).pvalue, rel=REL)


def test_holm_and_sample_ratio_as_statsmodels_and_scipy() -> None:
    ps = [0.2, 0.001, 0.04, 0.04, 0.9]
    assert holm(ps) == pytest.approx(multitest.multipletests(ps, method="holm")[1], rel=REL)
    ours = sample_ratio([480, 530, 990], [25, 25, 50])
    theirs = stats.chisquare([480, 530, 990], [500, 500, 1000])
    assert (ours.chi_square, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=REL)


def test_quantiles_as_numpy_and_the_bootstrap() -> None:
    values = draws(5, 2000)
    assert quantile_values(values, [0.95, 0.5]) == pytest.approx(np.quantile(values, [0.95, 0.5]), rel=REL)
    others = draws(6, 2000, 5.5)
    ours = quantiles(quantile(values, range(2000), 0.5), quantile(others, range(2000), 0.5))

    def median(sample: Sequence[float]) -> float:
        return float(np.median(sample))

    drawn = bootstrap(values, others, median, seed=1)
    assert (ours.low, ours.high) == pytest.approx((drawn.low, drawn.high), abs=0.06)
    assert bootstrap(values, others, median, seed=1) == drawn
