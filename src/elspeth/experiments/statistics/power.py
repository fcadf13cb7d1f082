"""Before the experiment: how many rows, or how small an effect. By statsmodels: scipy's non-central t
can return NaN."""

from dataclasses import dataclass
from math import ceil, sqrt

from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.statistics.effects import CannotTellError


@dataclass(frozen=True, slots=True)
class Plan:
    """What the test must be able to do. ``share`` is the variant's part of the units of both."""

    alpha: float = 0.05
    power: float = 0.8
    share: float = 0.5

    @property
    def ratio(self) -> float:
        """Units of the variant per unit of the control."""
        return self.share / (1 - self.share)


def needed(effect: float, sd: float, plan: Plan) -> int:
    """The units, both variants together, that find a difference of ``effect`` of values with this ``sd``."""
    if effect == 0 or sd <= 0:
        raise CannotTellError("an effect of 0, or values that do not vary, can't be planned for")
    solver = library("statsmodels.stats.power").TTestIndPower()
    control = solver.solve_power(
        effect_size=abs(effect) / sd, alpha=plan.alpha, power=plan.power, ratio=plan.ratio
    )
    return ceil(float(control)) + ceil(float(control) * plan.ratio)


def detectable(n_control: int, n_variant: int, sd: float, plan: Plan) -> float:
    """The smallest difference that is found with the plan's power (MDE)."""
    if min(n_control, n_variant) < 2 or sd <= 0:
        raise CannotTellError("an effect needs two units each, and values that vary")
    solver = library("statsmodels.stats.power").TTestIndPower()
    size = solver.solve_power(
        nobs1=n_control, ratio=n_variant / n_control, alpha=plan.alpha, power=plan.power
    )
    return float(size) * sd


def achieved(effect: float, n_control: int, n_variant: int, sd: float, alpha: float = 0.05) -> float:
    """The probability that so many units show a difference of ``effect``."""
    solver = library("statsmodels.stats.power").TTestIndPower()
    return float(
        solver.power(effect_size=abs(effect) / sd, nobs1=n_control, alpha=alpha, ratio=n_variant / n_control)
    )


def needed_pairs(effect: float, sd_of_differences: float, plan: Plan) -> int:
    """The pairs that find a mean difference of ``effect``."""
    if effect == 0 or sd_of_differences <= 0:
        raise CannotTellError("an effect of 0, or differences that do not vary, can't be planned for")
    solver = library("statsmodels.stats.power").TTestPower()
    size = abs(effect) / sd_of_differences
    return ceil(float(solver.solve_power(effect_size=size, alpha=plan.alpha, power=plan.power)))


def share_sd(base: float, effect: float, share: float = 0.5) -> float:
    """The sd of yes-or-no values around ``base`` in the control and ``base + effect`` in the variant."""
    changed = base + effect
    if not (0 <= base <= 1 and 0 <= changed <= 1):
        raise CannotTellError(f"{base:g} and {changed:g} are not both shares between 0 and 1")
    return sqrt((1 - share) * base * (1 - base) + share * changed * (1 - changed))


def detectable_from(se: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The MDE of any estimate with this standard error, by the normal distribution."""
    special = library("scipy.special")
    return float(special.ndtri(1 - alpha / 2) + special.ndtri(power)) * se


def detectable_pairs(pairs: int, sd_of_differences: float, plan: Plan) -> float:
    """The smallest mean difference that so many pairs find."""
    if pairs < 2 or sd_of_differences <= 0:
        raise CannotTellError("an effect needs two pairs, and differences that vary")
    solver = library("statsmodels.stats.power").TTestPower()
    return float(solver.solve_power(nobs=pairs, alpha=plan.alpha, power=plan.power)) * sd_of_differences
