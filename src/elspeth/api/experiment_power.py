"""Before an experiment: how many units an effect needs, or which effect so many units can show."""

from dataclasses import dataclass
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.experiments.statistics.effects import CannotTellError
from elspeth.experiments.statistics.power import (
    Plan,
    detectable,
    detectable_pairs,
    needed,
    needed_pairs,
    share_sd,
)


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """``units`` in both variants together (pairs, if ``paired``) find ``effect`` with this power."""

    effect: float
    units: int
    sd: float
    alpha: float
    power: float
    share: float
    paired: bool
    solved_for: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    def sentence(self) -> str:
        """What was computed, in words."""
        what = "pairs" if self.paired else "units in both variants together"
        with_power = f"with {self.power:.0%} power at alpha {self.alpha:.0%} (two-sided)"
        if self.solved_for == "units":
            return f"{self.units:,} {what} find a difference of {self.effect:.4g} {with_power}"
        return f"{self.units:,} {what} find a difference of {self.effect:.4g} or more {with_power}"


def plan_power(
    *,
    effect: float | None = None,
    units: int | None = None,
    base: float | None = None,
    sd: float | None = None,
    share: float = 50,
    paired: bool = False,
) -> PowerPlan:
    """Solve for ``units`` or for ``effect``, whichever is left out.

    The spread is ``sd``, or that of yes-or-no values around ``base``. ``share`` is the variant's weight in
    percent. Raises UsageError for what does not make a plan.
    """
    if (effect is None) == (units is None):
        raise UsageError("give either the effect or the units: the other is what is computed", fix="")
    if (base is None) == (sd is None):
        raise UsageError("give either --base (proportions) or --sd (means)", fix="")
    if paired and sd is None:
        raise UsageError("pairs need the sd of their differences", fix="give --sd")
    if not 0 < share < 100:
        raise UsageError(f"the variant's weight must lie between 0 and 100, and this is {share:g}", fix="")
    plan = Plan(share=share / 100)
    try:
        spread = sd if sd is not None else share_sd(base or 0.0, effect or 0.0, plan.share)
        if effect is not None:
            count = needed_pairs(effect, spread, plan) if paired else needed(effect, spread, plan)
            return PowerPlan(effect, count, spread, plan.alpha, plan.power, plan.share, paired, "units")
        assert units is not None
        variant = max(1, round(units * plan.share))
        found = (
            detectable_pairs(units, spread, plan)
            if paired
            else detectable(units - variant, variant, spread, plan)
        )
        return PowerPlan(found, units, spread, plan.alpha, plan.power, plan.share, paired, "effect")
    except CannotTellError as error:
        raise UsageError(str(error), fix="") from error
