"""What gbstats 0.8.0 (GrowthBook) and inspect_ai 0.3.285 gave, as literals; `make oracles` asks them anew.

Inputs are n, Σx, Σx², Σy, Σy², Σxy of control and variant; results difference, low, high, p.
"""

import pytest

from elspeth.experiments.statistics.cuped import cuped
from elspeth.experiments.statistics.effects import Effect
from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.ratios import ratio_variance, ratios
from elspeth.experiments.statistics.sequential import always_valid
from elspeth.experiments.statistics.sums import Sums, sums_of

SMALL = (
    Sums(88, 3266.499723, 148903.689714, 868.398922, 8985.569735, 32175.976587),
    Sums(86, 909.164953, 42458.374367, 869.801877, 9202.91975, 9519.677066),
)
LARGE = (
    Sums(141, 5186.808643, 192045.045135, 1396.518798, 14256.982756, 51706.45403),
    Sums(86, 4211.436788, 234519.978353, 837.638004, 8484.833734, 41663.85872),
)

MEANS = {
    SMALL: (-26.54762953, -32.16777009, -20.92748898, None),
    LARGE: (12.18431831, 8.243338896, 16.12529772, 2.293738377e-08),
}
SEQUENCES = {
    SMALL: (-26.54762953, -41.82958079, -11.26567828, 9.265429368e-05),
    LARGE: (12.18431831, 2.513709318, 21.8549273, 0.007860571111),
}
RATIOS = {
    SMALL: (-2.71626456, -3.305749885, -2.126779236, None),
    LARGE: (1.313654068, 0.8891157178, 1.738192419, 1.903985525e-08),
}
ADJUSTED = {
    SMALL: (-26.54231789, -32.16302929, -20.92160648, None),
    LARGE: (12.37467209, 8.511753299, 16.23759088, 8.668019635e-09),
}
THETAS = {SMALL: -0.0216091266, LARGE: 1.157786268}


def agree(effect: Effect, expected: tuple[float, float, float, float | None]) -> None:
    *interval, p = expected
    assert (effect.difference, effect.low, effect.high) == pytest.approx(tuple(interval), rel=1e-6)
    # None: theirs is 1 - cdf, in which no digit was left.
    assert effect.p < 1e-14 if p is None else effect.p == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("sums", [SMALL, LARGE])
def test_gbstats(sums: tuple[Sums, Sums]) -> None:
    control, variant = sums
    agree(welch(control, variant), MEANS[sums])
    agree(always_valid(welch(control, variant), control.n + variant.n), SEQUENCES[sums])
    agree(ratios(control, variant), RATIOS[sums])
    adjusted = cuped(control, variant)
    agree(adjusted.effect, ADJUSTED[sums])
    assert adjusted.theta == pytest.approx(THETAS[sums], rel=1e-6)


def test_inspect_clustered_standard_error() -> None:
    clusters = [[1, 0, 1], [1], [0, 0], [1, 1, 1, 0], [0, 1], [1, 1], [0], [1, 0, 0, 0, 1]]
    sums = sums_of([sum(values) for values in clusters], [len(values) for values in clusters])
    assert ratio_variance(sums) ** 0.5 == pytest.approx(0.1050170054, rel=1e-6)
