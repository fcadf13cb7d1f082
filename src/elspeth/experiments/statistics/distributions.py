"""The few distributions that are needed: the normal one from the standard library, the rest from scipy."""

from functools import cache
from importlib import import_module
from statistics import NormalDist
from typing import Any

from elspeth.contracts.errors import ElspethError

_NORMAL = NormalDist()


class MissingExtraError(ElspethError):
    """A library that only experiments need is not installed."""


@cache
def library(name: str) -> Any:
    """A module of the extra ``experiments``, loaded when it is first asked for.

    Raises MissingExtraError with the command that installs it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{name.partition('.')[0]} is needed to compare variants, and can't be loaded ({error})",
            fix="pip install 'elspeth[experiments]'",
        ) from error


def normal_quantile(p: float) -> float:
    """z with P(Z ≤ z) = p."""
    return _NORMAL.inv_cdf(p)


def normal_two_sided(z: float) -> float:
    """P(|Z| ≥ |z|), without loss of digits far out."""
    return float(library("scipy.special").erfc(abs(z) / 2**0.5))


def t_quantile(p: float, df: float) -> float:
    """t with P(T ≤ t) = p for ``df`` degrees of freedom."""
    return float(library("scipy.special").stdtrit(df, p))


def t_two_sided(t: float, df: float) -> float:
    """P(|T| ≥ |t|) for ``df`` degrees of freedom."""
    return 2.0 * float(library("scipy.special").stdtr(df, -abs(t)))


def chi_square_tail(value: float, df: int) -> float:
    """P(χ² ≥ value) for ``df`` degrees of freedom."""
    return float(library("scipy.special").chdtrc(df, value))


def binomial_two_sided(successes: int, trials: int) -> float:
    """The exact two-sided p of ``successes`` in ``trials`` fair tosses; 1 without a toss."""
    if trials == 0:
        return 1.0
    tail = float(library("scipy.special").bdtr(min(successes, trials - successes), trials, 0.5))
    return min(1.0, 2.0 * tail)
