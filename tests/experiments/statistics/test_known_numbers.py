"""Published numbers, and those of other people's programs."""

import pytest

from elspeth.core.config import ExperimentConfig
from elspeth.experiments.statistics.cuped import cuped
from elspeth.experiments.statistics.means import welch
from elspeth.experiments.statistics.multiplicity import holm
from elspeth.experiments.statistics.paired import paired_t
from elspeth.experiments.statistics.proportions import Share, proportions
from elspeth.experiments.statistics.srm import sample_ratio
from elspeth.experiments.statistics.sums import Sums, sums_of

near = pytest.approx


def close(value: object) -> object:
    return near(value, rel=1e-6)


def test_proportions() -> None:
    effect = proportions(control=Share(48, 80), variant=Share(56, 70))
    assert effect.statistic == close(2.6501719513)
    assert effect.p == close(0.0080450814)
    assert (effect.low, effect.high) == close((0.0524314724, 0.3338726540))


def test_welch_from_sums() -> None:
    effect = welch(Sums(3407, 1396.87, 52377.9767), Sums(3461, 2422.7, 134698.29))
    assert effect.difference == close(0.29)
    assert effect.se == close(0.1247836316)
    assert effect.df == close(5841.742032)
    assert (effect.low, effect.high) == close((0.0453778926, 0.5346221074))
    assert effect.p == close(0.0201584026)


def test_students_sleep_data() -> None:
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    effect = paired_t(sums_of(a - b for a, b in zip(first, second, strict=True)))
    assert effect.statistic == close(-4.0621276834)
    assert effect.df == 9
    assert effect.p == close(0.0028328902)
    assert (effect.low, effect.high) == close((-2.4598857633, -0.7001142367))


def test_cuped_from_sums() -> None:
    control = Sums(2023, x=1073, xx=2073, y=1090, yy=2720, xy=1691)
    variant = Sums(1977, x=1133, xx=2121, y=1006, yy=2380, xy=1551)
    adjusted = cuped(control, variant)
    assert adjusted.theta == close(0.5212929718)
    assert adjusted.effect.difference == close(0.0583038926)
    assert (adjusted.effect.low, adjusted.effect.high) == close((0.0156965102, 0.1009112750))
    assert adjusted.effect.p == close(0.0073304098)


def test_sample_ratio() -> None:
    found = sample_ratio([821588, 815482], [50, 50])
    assert found.chi_square == close(22.7743688)
    assert found.p == close(1.8217929e-6)
    assert not found.ok


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == close((0.03, 0.06, 0.06, 0.02))


def test_the_bucket_of_the_contract() -> None:
    def variant_at(weight: int | float) -> str:
        config = ExperimentConfig.model_validate(
            {
                "experiment_id": "exp-1",
                "name": "x",
                "variants": [
                    {"variant_id": "a", "weight": weight},
                    {"variant_id": "b", "weight": round(100 - weight, 2)},
                ],
            }
        )
        return config.assign_variant("row-1").variant_id

    # Bucket 60, sub-bucket 31: the border lies between 60.31 and 60.32.
    assert [variant_at(weight) for weight in (60, 61, 60.31, 60.32)] == ["b", "a", "b", "a"]
