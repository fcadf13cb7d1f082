"""Quantiles: p95 latency and the like, with intervals from order statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any

from elspeth.experiments.statistics.distributions import library, normal_quantile
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


def quantile_values(values: Any, qs: Sequence[float]) -> list[float]:
    """The quantiles of values, by linear interpolation (type 7, as SQL's percentile_cont)."""
    numpy = library("numpy")
    last = len(values) - 1
    places = [q * last for q in qs]
    ends = [(floor(place), min(floor(place) + 1, last)) for place in places]
    ordered = numpy.partition(numpy.asarray(values, dtype=float), [end for pair in ends for end in pair])
    return [
        float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
        for place, (below, above) in zip(places, ends, strict=True)
    ]


def quantile(values: Any, clusters: Any, q: float, level: float = 0.95) -> Quantile:
    """The q-quantile of ``values``; ``clusters`` says which unit each value is from (None: each from one
    of its own).

    The interval's bounds are the order statistics at the ends of the interval of P(X ≤ quantile),
    whose variance heeds the clusters. Source: Deng, Knoblich and Lu, KDD 2018, section 4.2. Raises
    CannotTellError where there are too few values for bounds on both sides.
    """
    n = len(values)
    if n < 2:
        raise CannotTellError(f"a quantile needs two values, there are {n}")
    numpy = library("numpy")
    values = numpy.asarray(values, dtype=float)
    place = q * (n - 1)
    below = floor(place)
    above = min(below + 1, n - 1)

    def value_in(ordered: Any) -> float:
        return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))

    variance = q * (1 - q) / n
    if clusters is not None:
        variance = _share_variance(values, clusters, value_in(numpy.partition(values, (below, above))), q)
    z = normal_quantile(0.5 + level / 2)
    half = z * sqrt(variance)
    low_rank, high_rank = floor(n * (q - half)), ceil(n * (q + half)) + 1
    if low_rank < 1 or high_rank > n:
        raise CannotTellError(f"{n} values are too few for the interval of the {q:g}-quantile")
    ordered = numpy.partition(values, (below, above, low_rank - 1, high_rank - 1))
    value, low, high = value_in(ordered), float(ordered[low_rank - 1]), float(ordered[high_rank - 1])
    return Quantile(value, low, high, (high - low) / (2 * z), n)


def _share_variance(values: Any, clusters: Any, value: float, q: float) -> float:
    """The variance of the share of values up to ``value``."""
    numpy = library("numpy")
    units, code = numpy.unique(clusters, return_inverse=True)
    if len(units) == len(values):
        return q * (1 - q) / len(values)
    if len(units) < 2:
        raise CannotTellError("all values are from one unit")
    below = numpy.bincount(code, values <= value, len(units))
    return ratio_variance(sums_of(below.tolist(), numpy.bincount(code).tolist()))


def quantiles(control: Quantile, variant: Quantile, level: float = 0.95) -> Effect:
    """The difference of two quantiles; standard errors from the widths of their intervals.

    Source: Price and Bonett, "Distribution-free confidence intervals for difference and ratio of
    medians", J. Statistical Computation and Simulation 72 (2002) 119-124.
    """
    difference = variant.value - control.value
    return by_normal("order statistics", difference, sqrt(control.se**2 + variant.se**2), level)
