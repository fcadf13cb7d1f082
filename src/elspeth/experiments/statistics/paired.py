"""The same row through both variants: every row is compared with itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from elspeth.experiments.statistics.distributions import binomial_two_sided, normal_quantile
from elspeth.experiments.statistics.effects import CannotTellError, Effect, by_t
from elspeth.experiments.statistics.ratios import ratio_of, ratio_variance
from elspeth.experiments.statistics.sums import Sums


def paired_t(differences: Sums, level: float = 0.95) -> Effect:
    """Student's t of differences, variant minus control, one per pair.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908) 1-25. Raises CannotTellError
    below two pairs, or where all differences are the same.
    """
    if differences.n < 2:
        raise CannotTellError(f"pairs need to be two at least, there are {differences.n}")
    se = sqrt(differences.variance / differences.n)
    return by_t("paired t", differences.mean, se, differences.n - 1, level)


def paired_clusters(units: Sums, level: float = 0.95) -> Effect:
    """The mean difference per pair where pairs come in units: x a unit's differences added up, y its pairs.

    The delta method over units, with Student's distribution of units - 1 degrees of freedom.
    """
    if units.n < 2:
        raise CannotTellError(f"pairs need to be of two units at least, there are {units.n}")
    return by_t(
        "paired, delta method by unit", ratio_of(units), sqrt(ratio_variance(units)), units.n - 1, level
    )


@dataclass(frozen=True, slots=True)
class Discordance:
    """Pairs by who was right: ``gained`` only the variant, ``lost`` only the control."""

    both: int
    gained: int
    lost: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.gained + self.lost + self.neither


def mcnemar(table: Discordance, level: float = 0.95) -> Effect:
    """McNemar's exact test; the interval is Wald's with Bonett and Price's adjustment.

    Sources: Q. McNemar, Psychometrika 12 (1947) 153-157; Bonett and Price, "Adjusted Wald confidence
    interval for a difference of binomial proportions based on paired data", J. Educational and
    Behavioral Statistics 37 (2012) 479-488. Raises CannotTellError without pairs.
    """
    n = table.n
    if n == 0:
        raise CannotTellError("there is no pair")
    difference = (table.gained - table.lost) / n
    gained, lost = (table.gained + 1) / (n + 2), (table.lost + 1) / (n + 2)
    se = sqrt((gained + lost - (gained - lost) ** 2) / (n + 2))
    half, middle = normal_quantile(0.5 + level / 2) * se, gained - lost
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    p = binomial_two_sided(table.gained, table.gained + table.lost)
    return Effect("McNemar exact", difference, se, low, high, p, level)


@dataclass(frozen=True, slots=True)
class WinTieLoss:
    """How many pairs the variant won, and the sign test's p over those that are no ties."""

    wins: int
    ties: int
    losses: int
    p: float


def win_tie_loss(differences: Iterable[float]) -> WinTieLoss:
    """Count signs; positive is a win of the variant.

    Source of the test: Dixon and Mood, "The statistical sign test", JASA 41 (1946) 557-566.
    """
    wins = ties = losses = 0
    for difference in differences:
        if difference > 0:
            wins += 1
        elif difference < 0:
            losses += 1
        else:
            ties += 1
    return WinTieLoss(wins, ties, losses, binomial_two_sided(wins, wins + losses))
