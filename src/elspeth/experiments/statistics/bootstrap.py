"""Where there is no formula: draw units again and again, with a seed that is on record."""

from collections.abc import Callable, Sequence

from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.statistics.effects import CannotTellError, Effect

DRAWS = 2000
Statistic = Callable[[Sequence[float]], float]


def bootstrap(
    control: Sequence[float],
    variant: Sequence[float],
    statistic: Statistic,
    *,
    seed: int,
    level: float = 0.95,
) -> Effect:
    """The difference of a statistic of both, with the percentile interval; p from how the draws lie around 0.

    One value per unit. The same seed gives the same digits. Source: Efron and Tibshirani, "An
    Introduction to the Bootstrap" (1993), sections 13.3 and 15.4. Raises CannotTellError below two
    values each.
    """
    if min(len(control), len(variant)) < 2:
        raise CannotTellError(
            f"a bootstrap needs two values each, there are {len(control)} and {len(variant)}"
        )
    numpy = library("numpy")
    random = numpy.random.Generator(numpy.random.PCG64(seed))
    c, v = numpy.asarray(control, dtype=float), numpy.asarray(variant, dtype=float)
    draws = numpy.array(
        [
            statistic(v[random.integers(0, len(v), len(v))])
            - statistic(c[random.integers(0, len(c), len(c))])
            for _ in range(DRAWS)
        ]
    )
    low, high = numpy.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (DRAWS + 1))
    difference = float(statistic(v)) - float(statistic(c))
    return Effect(
        f"bootstrap, {DRAWS} draws, seed {seed}",
        difference,
        float(draws.std(ddof=1)),
        float(low),
        float(high),
        p,
        level,
    )
