"""Intervals that hold at every look: for status while a run goes on."""

from dataclasses import replace
from math import exp, log, log1p, sqrt

from elspeth.experiments.statistics.effects import CannotTellError, Effect

TUNED_FOR = 5000


def always_valid(effect: Effect, n: int, tuned_for: int = TUNED_FOR) -> Effect:
    """The asymptotic confidence sequence around an effect that was estimated from ``n`` units.

    Whoever looks as often as they like, and stops when they like, is misled with probability 1 - level
    at most (asymptotically). It is tightest where n is about ``tuned_for``, which must be
    chosen beforehand; the price against a fixed-n interval is a factor of some 1.5 there. Source:
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
    asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem 2.2 and eq. 24;
    p from inverting it. Raises CannotTellError if the effect has no standard error.
    """
    if effect.se <= 0 or n < 2:
        raise CannotTellError("the values do not vary, so chance has no measure")
    alpha = 1 - effect.level
    rho2 = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuned_for
    information = n * rho2
    growth = (information + 1) / information
    half = effect.se * sqrt(growth * (log1p(information) - 2 * log(alpha)))
    z = effect.difference / effect.se
    exponent = min(700.0, z * z / (2 * growth))
    p = min(1.0, sqrt(1 + information) * exp(-exponent))
    return replace(
        effect,
        method=f"{effect.method}, confidence sequence",
        low=effect.difference - half,
        high=effect.difference + half,
        p=p,
        always_valid=True,
    )
