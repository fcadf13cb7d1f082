"""Difference of two means."""

from elspeth.experiments.statistics.effects import CannotTellError, Effect, by_t
from elspeth.experiments.statistics.sums import Sums


def welch(control: Sums, variant: Sums, level: float = 0.95) -> Effect:
    """Welch's t: unequal variances, degrees of freedom by Welch and Satterthwaite.

    Source: B. L. Welch, "The generalization of Student's problem when several different population
    variances are involved", Biometrika 34 (1947) 28-35. Raises CannotTellError below two values each,
    or where nothing varies.
    """
    if control.n < 2 or variant.n < 2:
        raise CannotTellError(f"a mean needs two values each, there are {control.n} and {variant.n}")
    difference = variant.mean - control.mean
    return by_t("Welch's t", difference, *_error(control, variant), level)


def _error(control: Sums, variant: Sums) -> tuple[float, float]:
    """The standard error of the difference, and its degrees of freedom."""
    return combined_error(
        (control.variance / control.n, control.n), (variant.variance / variant.n, variant.n)
    )


def combined_error(control: tuple[float, int], variant: tuple[float, int]) -> tuple[float, float]:
    """Standard error and Welch's degrees of freedom; of each estimate its variance and n are given."""
    (a, n_a), (b, n_b) = control, variant
    total = a + b
    if total <= 0:
        return 0.0, 1.0
    return total**0.5, total * total / (a * a / (n_a - 1) + b * b / (n_b - 1))
