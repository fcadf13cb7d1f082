"""Ratios of sums, Σx / Σy: costs per row, and every mean over rows where units have several rows."""

from elspeth.experiments.statistics.effects import CannotTellError, Effect, by_t
from elspeth.experiments.statistics.means import combined_error
from elspeth.experiments.statistics.sums import Sums, not_noise


def ratio_of(sums: Sums) -> float:
    """Σx / Σy. Raises CannotTellError where that has no value."""
    if sums.n == 0 or sums.mean_y == 0:
        raise CannotTellError("a ratio needs a denominator that is not 0")
    return sums.mean / sums.mean_y


def ratio_variance(sums: Sums) -> float:
    """The variance of Σx / Σy over independent units, by the delta method.

    With y the number of a unit's rows this is the cluster-robust variance of a mean over rows.
    Source: Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018, eq. 3-4.
    """
    ratio = ratio_of(sums)
    size = sums.variance + ratio * ratio * sums.variance_y
    spread = not_noise(size - 2 * ratio * sums.covariance, size)
    return spread / (sums.n * sums.mean_y**2)


def ratios(control: Sums, variant: Sums, level: float = 0.95) -> Effect:
    """The difference of two ratios over independent units. Raises CannotTellError."""
    if control.n < 2 or variant.n < 2:
        raise CannotTellError(f"a ratio needs two units each, there are {control.n} and {variant.n}")
    difference = ratio_of(variant) - ratio_of(control)
    errors = combined_error((ratio_variance(control), control.n), (ratio_variance(variant), variant.n))
    return by_t("delta method", difference, *errors, level)
