"""Quantiles: p95 latency and the like, with intervals from order statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

from elspeth.experiments.statistics.distributions import normal_quantile
from elspeth.experiments.statistics.effects import CannotTellError, Effect, by_normal
from elspeth.experiments.statistics.ratios import ratio_variance
from elspeth.experiments.statistics.sums import sums_of


@dataclass(frozen=True, slots=True)
class Quantile:
    """An estimate between two order statistics that bound it, and the standard error that these imply."""

    value: float
    low: float
    high: float
    se: float
    n: int


def quantile_value(ordered: Sequence[float], q: float) -> float:
    """The q-quantile of sorted values, by linear interpolation (type 7, as SQL's percentile_cont)."""
    place = q * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def quantile(values: Sequence[float], clusters: Sequence[int], q: float, level: float = 0.95) -> Quantile:
    """The q-quantile of ``values``; ``clusters`` says which unit each value is from.

    The interval's bounds are the order statistics at the ends of the interval of P(X ≤ quantile),
    whose variance heeds the clusters. Source: Deng, Knoblich and Lu, KDD 2018, section 4.2. Raises
    CannotTellError where there are too few values for bounds on both sides.
    """
    n = len(values)
    if n < 2:
        raise CannotTellError(f"a quantile needs two values, there are {n}")
    order = sorted(range(n), key=values.__getitem__)
    ordered = [values[index] for index in order]
    value = quantile_value(ordered, q)
    half = normal_quantile(0.5 + level / 2) * sqrt(_share_variance(values, clusters, value, q))
    low_rank, high_rank = floor(n * (q - half)), ceil(n * (q + half)) + 1
    if low_rank < 1 or high_rank > n:
        raise CannotTellError(f"{n} values are too few for the interval of the {q:g}-quantile")
    low, high = ordered[low_rank - 1], ordered[high_rank - 1]
    z = normal_quantile(0.5 + level / 2)
    return Quantile(value, low, high, (high - low) / (2 * z), n)


def _share_variance(values: Sequence[float], clusters: Sequence[int], value: float, q: float) -> float:
    """The variance of the share of values up to ``value``."""
    if len(set(clusters)) == len(values):
        return q * (1 - q) / len(values)
    below: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for item, cluster in zip(values, clusters, strict=True):
        below[cluster] = below.get(cluster, 0) + (item <= value)
        sizes[cluster] = sizes.get(cluster, 0) + 1
    if len(sizes) < 2:
        raise CannotTellError("all values are from one unit")
    return ratio_variance(sums_of(below.values(), sizes.values()))


def quantiles(control: Quantile, variant: Quantile, level: float = 0.95) -> Effect:
    """The difference of two quantiles; standard errors from the widths of their intervals.

    Source: Price and Bonett, "Distribution-free confidence intervals for difference and ratio of
    medians", J. Statistical Computation and Simulation 72 (2002) 119-124.
    """
    difference = variant.value - control.value
    return by_normal("order statistics", difference, sqrt(control.se**2 + variant.se**2), level)
