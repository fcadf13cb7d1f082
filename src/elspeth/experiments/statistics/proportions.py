"""Difference of two proportions."""

from dataclasses import dataclass
from math import sqrt

from elspeth.experiments.statistics.distributions import normal_quantile, normal_two_sided
from elspeth.experiments.statistics.effects import CannotTellError, Effect


@dataclass(frozen=True, slots=True)
class Share:
    """``successes`` of ``n``."""

    successes: int
    n: int

    @property
    def value(self) -> float:
        """Raises ZeroDivisionError if n is 0."""
        return self.successes / self.n


def wilson(share: Share, level: float = 0.95) -> tuple[float, float]:
    """The score interval of one proportion; (0, 1) without observations.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927) 209-212.
    """
    if share.n == 0:
        return 0.0, 1.0
    z = normal_quantile(0.5 + level / 2)
    n, p = share.n, share.value
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At 0 and n of n the bound is exact, which rounding would hide.
    return (0.0 if share.successes == 0 else centre - half), (1.0 if share.successes == n else centre + half)


def newcombe(control: Share, variant: Share, level: float = 0.95) -> tuple[float, float]:
    """The interval of variant - control from both Wilson intervals.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions:
    comparison of eleven methods", Statistics in Medicine 17 (1998) 873-890, method 10.
    """
    low_c, high_c = wilson(control, level)
    low_v, high_v = wilson(variant, level)
    difference = variant.value - control.value
    below = sqrt((variant.value - low_v) ** 2 + (high_c - control.value) ** 2)
    above = sqrt((high_v - variant.value) ** 2 + (control.value - low_c) ** 2)
    return difference - below, difference + above


def proportions(control: Share, variant: Share, level: float = 0.95) -> Effect:
    """z-test with the pooled proportion; the interval is Newcombe's, the standard error unpooled.

    Source of the test: L. Fleiss et al., "Statistical Methods for Rates and Proportions", 3rd ed.,
    section 3.1 (without continuity correction). Raises CannotTellError without observations, and where all
    observations of both are the same.
    """
    if control.n == 0 or variant.n == 0:
        raise CannotTellError(f"a proportion needs observations, there are {control.n} and {variant.n}")
    pooled = (control.successes + variant.successes) / (control.n + variant.n)
    spread = sqrt(pooled * (1 - pooled) * (1 / control.n + 1 / variant.n))
    if spread == 0:
        raise CannotTellError("all outcomes are the same, so chance has no measure")
    difference = variant.value - control.value
    z = difference / spread
    low, high = newcombe(control, variant, level)
    se = sqrt(_variance(control) + _variance(variant))
    return Effect("z-test, Newcombe interval", difference, se, low, high, normal_two_sided(z), level, None, z)


def _variance(share: Share) -> float:
    return share.value * (1 - share.value) / share.n
