"""What a comparison gives: an effect with its uncertainty, or why there is none."""

import math
from dataclasses import dataclass

from elspeth.experiments.statistics.distributions import (
    normal_quantile,
    normal_two_sided,
    t_quantile,
    t_two_sided,
)
from elspeth.experiments.statistics.sums import not_noise


class CannotTellError(ValueError):
    """There is too little data, or none that varies, for a statement. The text says which."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Variant minus control, in the metric's own unit.

    ``low`` and ``high`` bound the interval at ``level`` (0.95: 95 %). ``df`` is None for methods
    that rest on the normal distribution, ``statistic`` is t or z. ``always_valid``: the
    interval holds however often somebody looks.
    """

    method: str
    difference: float
    se: float
    low: float
    high: float
    p: float
    level: float
    df: float | None = None
    statistic: float | None = None
    always_valid: bool = False


def by_t(method: str, difference: float, se: float, df: float, level: float) -> Effect:
    """An effect by Student's distribution. Raises CannotTellError if nothing varies."""
    _must_vary(se)
    half = t_quantile(0.5 + level / 2, df) * se
    t = difference / se
    p = t_two_sided(t, df)
    return Effect(method, difference, se, difference - half, difference + half, p, level, df, t)


def by_normal(method: str, difference: float, se: float, level: float) -> Effect:
    """An effect by the normal distribution. Raises CannotTellError if nothing varies."""
    _must_vary(se)
    half = normal_quantile(0.5 + level / 2) * se
    z = difference / se
    p = normal_two_sided(z)
    return Effect(method, difference, se, difference - half, difference + half, p, level, None, z)


def _must_vary(se: float) -> None:
    if not (math.isfinite(se) and se > 0):
        raise CannotTellError("the values do not vary, so chance has no measure")


@dataclass(frozen=True, slots=True)
class Lift:
    """The relative effect: variant / control - 1, with its interval. ``method`` says how."""

    method: str
    relative: float
    low: float
    high: float


def lift(
    control: tuple[float, float], variant: tuple[float, float], level: float, covariance: float | None = None
) -> Lift | None:
    """The relative effect of two estimates, each (value, variance of the value).

    ``covariance`` of the two, where they are of the same rows; None where they are independent.

    Delta method on variant / control; None where the control is not clearly away from 0, because
    then a ratio has no honest interval. Source: Deng, Knoblich and Lu, "Applying the delta method
    in metric analytics", KDD 2018, section 3.
    """
    z = normal_quantile(0.5 + level / 2)
    (base, base_variance), (value, value_variance) = control, variant
    if base == 0 or abs(base) < z * math.sqrt(base_variance):
        return None
    ratio = value / base
    size = value_variance + ratio**2 * base_variance
    se = math.sqrt(not_noise(size - 2 * ratio * (covariance or 0.0), size)) / abs(base)
    method = "delta method on the ratio" if covariance is None else "delta method on the ratio of pairs"
    return Lift(method, ratio - 1, ratio - 1 - z * se, ratio - 1 + z * se)
