"""CUPED: take out of a metric what a value known beforehand explains."""

from dataclasses import dataclass

from elspeth.experiments.statistics.effects import CannotTellError, Effect, by_t
from elspeth.experiments.statistics.means import combined_error
from elspeth.experiments.statistics.sums import Sums, not_noise


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The effect after adjustment, the coefficient, and the share of the variance that it took out.

    ``errors`` are the variances of both adjusted means.
    """

    effect: Effect
    theta: float
    reduction: float
    errors: tuple[float, float]


def cuped(control: Sums, variant: Sums, level: float = 0.95) -> Adjusted:
    """Compare means of x - θ (y - ȳ), where y is the covariate and θ = cov(x, y) / var(y) over all units.

    Source: Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments
    by utilizing pre-experiment data", WSDM 2013. Raises CannotTellError.
    """
    if control.n < 2 or variant.n < 2:
        raise CannotTellError(
            f"an adjusted mean needs two values each, there are {control.n} and {variant.n}"
        )
    theta = coefficient(control, variant)
    difference = variant.mean - control.mean - theta * (variant.mean_y - control.mean_y)
    left = [_left(sums, theta) for sums in (control, variant)]
    before = control.variance / control.n + variant.variance / variant.n
    errors = combined_error((left[0] / control.n, control.n), (left[1] / variant.n, variant.n))
    effect = by_t("CUPED, Welch's t", difference, *errors, level)
    reduction = 1 - effect.se**2 / before if before > 0 else 0.0
    return Adjusted(effect, theta, reduction, (left[0] / control.n, left[1] / variant.n))


def _left(sums: Sums, theta: float) -> float:
    """The variance that the covariate does not explain."""
    size = sums.variance + theta**2 * sums.variance_y
    return not_noise(size - 2 * theta * sums.covariance, size)


def coefficient(control: Sums, variant: Sums) -> float:
    """θ over all units of both. Raises CannotTellError where the covariate does not vary."""
    together = control + variant
    if together.variance_y <= 0:
        raise CannotTellError("the covariate does not vary, so it explains nothing")
    return together.covariance / together.variance_y
