"""From an effect to one word."""

from enum import StrEnum

from elspeth.experiments.statistics.effects import Effect


class Verdict(StrEnum):
    """What may be said of a variant, measured by one metric."""

    BETTER = "better"
    WORSE = "worse"
    NON_INFERIOR = "non-inferior"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


def judge(
    effect: Effect, p: float, *, increase_is_good: bool, margin: float | None = None, valid: bool = True
) -> Verdict:
    """The verdict on an absolute effect; ``p`` is the one to go by (adjusted, where several are primary).

    ``valid`` is False where the sample ratio is wrong: then nothing else counts.
    """
    if not valid:
        return Verdict.INVALID
    gain = effect.difference if increase_is_good else -effect.difference
    worst = effect.low if increase_is_good else -effect.high
    excludes_zero = effect.low > 0 or effect.high < 0
    differs = p < 1 - effect.level and excludes_zero
    if differs and gain > 0:
        return Verdict.BETTER
    # What the margin tolerates is non-inferior also where it is surely a little worse.
    if margin is not None and worst > -margin:
        return Verdict.NON_INFERIOR
    return Verdict.WORSE if differs else Verdict.INCONCLUSIVE


class GuardrailState(StrEnum):
    """Whether a metric that must not get worse did."""

    HELD = "held"
    BROKEN = "broken"
    UNSURE = "unsure"


def guard(effect: Effect, limit: float, *, increase_is_bad: bool) -> GuardrailState:
    """``limit`` is the largest tolerated change in the bad direction, in the metric's unit.

    Uncorrected for several looks at several metrics, because an alarm should rather ring too often.
    """
    low, high = (effect.low, effect.high) if increase_is_bad else (-effect.high, -effect.low)
    if high <= limit:
        return GuardrailState.HELD
    return GuardrailState.BROKEN if low > limit else GuardrailState.UNSURE
