"""One metric of one variant against the control: which formula, and what came out."""

from dataclasses import dataclass
from math import sqrt

from elspeth.core.config import MetricConfig
from elspeth.experiments.statistics.cuped import cuped
from elspeth.experiments.statistics.effects import CannotTellError, Effect, Lift, by_t, lift
from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.paired import WinTieLoss, mcnemar, paired_clusters, paired_t
from elspeth.experiments.statistics.proportions import Share, proportions
from elspeth.experiments.statistics.quantiles import quantiles
from elspeth.experiments.statistics.ratios import ratio_of, ratio_variance, ratios
from elspeth.experiments.statistics.sums import Sums
from elspeth.experiments.totals import MetricTotals, PairTotals, sign_test

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """``effect`` is None where nothing can be told; ``problem`` then says why. ``units`` in both together."""

    effect: Effect | None
    problem: str
    lift: Lift | None
    units: int
    theta: float | None = None
    variance_removed: float | None = None
    pairs: WinTieLoss | None = None


def value_of(metric: MetricConfig, totals: MetricTotals) -> float | None:
    """What the metric is in one variant; None where it has no value."""
    try:
        if metric.type == "quantile":
            return totals.quantile.value if totals.quantile else None
        if metric.type == "count":
            return totals.units.mean if totals.units.n else None
        return ratio_of(totals.units)
    except CannotTellError:
        return None


def estimate(
    metric: MetricConfig, control: MetricTotals, variant: MetricTotals, pairs: PairTotals | None
) -> Estimate:
    """Variant minus control. ``pairs`` is None in a split."""
    units = pairs.units.n if pairs is not None else control.units.n + variant.units.n
    signs = None if pairs is None else sign_test(pairs, increase_is_good=metric.goal == "increase")
    problem, effect = "", None
    theta = removed = None
    try:
        if pairs is not None and metric.type != "quantile":
            effect = _paired(metric, control, variant, pairs)
        elif control.adjusted is not None and variant.adjusted is not None:
            adjusted = cuped(control.adjusted, variant.adjusted, LEVEL)
            effect, theta, removed = adjusted.effect, adjusted.theta, adjusted.reduction
            base, (left, right) = control.adjusted.mean, adjusted.errors
            relative = lift((base, left), (base + effect.difference, right), LEVEL)
            return Estimate(effect, "", relative, units, theta, removed, signs)
        else:
            effect = _split(metric, control, variant)
    except CannotTellError as error:
        problem = str(error)
    pair_se = effect.se if pairs is not None and effect is not None and metric.type != "quantile" else None
    return Estimate(effect, problem, _lift(metric, control, variant, pair_se), units, theta, removed, signs)


def _split(metric: MetricConfig, control: MetricTotals, variant: MetricTotals) -> Effect:
    if metric.type == "quantile":
        for totals in (control, variant):
            if totals.quantile is None:
                raise CannotTellError(totals.quantile_problem)
        assert control.quantile is not None
        assert variant.quantile is not None
        return quantiles(control.quantile, variant.quantile, LEVEL)
    if metric.type == "count":
        return welch(control.units, variant.units, LEVEL)
    single = control.single and variant.single
    if metric.type == "proportion" and single:
        return proportions(_share(control), _share(variant), LEVEL)
    if metric.type == "mean" and single:
        return welch(control.units, variant.units, LEVEL)
    return ratios(control.units, variant.units, LEVEL)


def _paired(metric: MetricConfig, control: MetricTotals, variant: MetricTotals, pairs: PairTotals) -> Effect:
    if metric.type == "ratio" and metric.per != "rows":
        if pairs.spread is None:
            raise CannotTellError(f"a ratio needs pairs of two units, there are {pairs.units.n}")
        difference = ratio_of(variant.units) - ratio_of(control.units)
        return by_t("paired, delta method", difference, sqrt(pairs.spread), pairs.units.n - 1, LEVEL)
    if pairs.discordance is not None and pairs.single:
        return mcnemar(pairs.discordance, LEVEL)
    if metric.type == "count" or pairs.single:
        return paired_t(pairs.units, LEVEL)
    return paired_clusters(pairs.units, LEVEL)


def _share(totals: MetricTotals) -> Share:
    sums = totals.units
    return Share(round(sums.x + sums.n * sums.shift_x), sums.n)


def _lift(
    metric: MetricConfig, control: MetricTotals, variant: MetricTotals, pair_se: float | None
) -> Lift | None:
    """``pair_se`` of the difference, where both are of the same rows."""
    try:
        base, value = _point(metric, control), _point(metric, variant)
    except CannotTellError:
        return None
    covariance = None if pair_se is None else (base[1] + value[1] - pair_se**2) / 2
    return lift(base, value, LEVEL, covariance)


def _point(metric: MetricConfig, totals: MetricTotals) -> tuple[float, float]:
    """The value in one variant, and its variance."""
    if metric.type == "quantile":
        if totals.quantile is None:
            raise CannotTellError(totals.quantile_problem)
        return totals.quantile.value, totals.quantile.se**2
    sums: Sums = totals.units
    if sums.n < 2:
        raise CannotTellError("there are too few units")
    if metric.type == "count":
        return sums.mean, sums.variance / sums.n
    return ratio_of(sums), ratio_variance(sums)
