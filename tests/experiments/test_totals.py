"""Adding up: units that were seen in two variants, rows without values."""

from array import array
from math import nan

from elspeth.core.config import ExperimentConfig
from elspeth.experiments.comparison import compare
from elspeth.experiments.metrics import compile_metrics
from elspeth.experiments.readings import Columns, Readings
from elspeth.experiments.totals import total

CONFIG = ExperimentConfig.model_validate(
    {
        "experiment_id": "e",
        "name": "e",
        "variants": [{"variant_id": "a", "weight": 50}, {"variant_id": "b", "weight": 50}],
        "metrics": [{"name": "m", "value": "row['m']"}],
    }
)
USAGE = {
    "calls": 0.0,
    "failed_calls": 0.0,
    "refused_calls": 0.0,
    "tokens_in": 0.0,
    "tokens_out": 0.0,
    "tokens_total": 0.0,
    "cost": 0.0,
}


def readings(variant: list[int], unit: list[int], values: list[float]) -> Readings:
    columns = Columns(
        array("d", values),
        array("d", [1.0 if value == value else nan for value in values]),
        array("d", [nan] * len(values)),
    )
    return Readings(
        ("a", "b"),
        {"m": columns},
        array("b", variant),
        array("q", unit),
        array("q", range(len(values))),
        array("b", [0] * len(values)),
        array("b", [0] * len(values)),
        array("d", values),
        [dict(USAGE), dict(USAGE)],
        [len({u for u, v in zip(unit, variant, strict=True) if v == index}) for index in (0, 1)],
    )


def test_a_unit_that_was_seen_in_two_variants_is_excluded_and_counted() -> None:
    metrics, _ = compile_metrics(CONFIG)
    found = total(
        readings([0, 0, 0, 1, 1, 1, 1], [0, 1, 9, 2, 3, 9, 9], [1, 2, 100, 3, 4, 100, 100]),
        metrics,
        control=None,
    )
    assert (found.excluded_units, found.excluded_rows) == (1, 3)
    assert [one.rows for one in found.variants] == [2, 2]
    effect = compare(CONFIG, found, final=True).results[0].estimate.effect
    assert effect is not None
    assert effect.difference == 2


def test_the_same_units_in_both_variants_of_pairs_are_what_is_wanted() -> None:
    metrics, _ = compile_metrics(CONFIG)
    seen = readings([0, 1, 0, 1], [0, 0, 1, 1], [1, 2, 3, 5])
    seen.pair = array("q", [0, 0, 1, 1])
    found = total(seen, metrics, control=0)
    assert found.excluded_units == 0
    pairs = found.variants[1].pairs["m"]
    assert (pairs.pairs, pairs.wins, pairs.units.mean) == (2, 2, 1.5)


def test_a_control_that_got_no_rows() -> None:
    metrics, _ = compile_metrics(CONFIG)
    found = total(readings([1, 1, 1], [0, 1, 2], [1, 2, nan]), metrics, control=None)
    result = compare(CONFIG, found, final=True).results[0]
    assert result.estimate.effect is None
    assert result.estimate.problem == "a mean needs two values each, there are 0 and 2"
    assert (result.control_value, result.variant_value, result.without) == (None, 1.5, (0, 1))
