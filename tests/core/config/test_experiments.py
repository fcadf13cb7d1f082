"""Assignment of variants: the formula of the contract, and what an experiment may not say."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.core.config import ExperimentConfig, VariantConfig


def experiment(*weights, **more):
    variants = [
        VariantConfig(variant_id=f"v{index}", weight=weight, transform_overrides={"model": index})
        for index, weight in enumerate(weights)
    ]
    return ExperimentConfig(**{"experiment_id": "exp-1", "name": "Test", "variants": variants, **more})


def contract_variant(config, row_id):
    bucket = int(hashlib.sha256(f"{config.experiment_id}:{row_id}".encode()).hexdigest(), 16) % 100
    cumulative = 0
    for variant in config.variants:
        cumulative += variant.weight
        if bucket < cumulative:
            return variant
    raise AssertionError("no variant")


def test_known_bucket_decides_at_its_edge():
    # exp-1:row-1 is in bucket 60, sub-bucket 31.
    assert experiment(60, 40).assign_variant("row-1").variant_id == "v1"
    assert experiment(61, 39).assign_variant("row-1").variant_id == "v0"
    assert experiment(60.31, 39.69).assign_variant("row-1").variant_id == "v1"
    assert experiment(60.32, 39.68).assign_variant("row-1").variant_id == "v0"


@settings(max_examples=200)
@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_integer_weights_follow_the_contract(row_id, first, second):
    second = min(second, 100 - first)
    config = experiment(first, second, 100 - first - second)
    try:
        row_id.encode()
    except UnicodeEncodeError:
        return
    assert config.assign_variant(row_id) is contract_variant(config, row_id)
    as_floats = experiment(float(first), float(second), float(100 - first - second))
    assert as_floats.assign_variant(row_id).variant_id == config.assign_variant(row_id).variant_id


def test_decimal_weights_get_their_share():
    config = experiment(0.5, 99.5)
    hits = sum(config.assign_variant(f"row-{n}").variant_id == "v0" for n in range(20_000))
    assert 60 <= hits <= 140


def test_weights_are_added_exactly():
    assert experiment(33.33, 33.33, 33.34).total_weight == 100
    assert experiment(*[0.1] * 10, 99).total_weight == 100
    assert isinstance(experiment(50, 50).total_weight, int)


@pytest.mark.parametrize(
    ("weights", "total"),
    [((50, 49.99), "99.99"), ((50, 51), "101"), ((40,), "40"), ((), "0"), ((0.1, 0.2), "0.3")],
)
def test_wrong_total_is_named(weights, total):
    with pytest.raises(ValidationError, match=rf"total {total} .*must total 100"):
        experiment(*weights)


@pytest.mark.parametrize(
    ("weights", "more", "text"),
    [
        ((33.333, 66.667), {}, "weight 33.333 of variant 'v0' is not a multiple of 0.01"),
        ((100,), {}, "one variant compares nothing"),
        ((50, 50), {"experiment_id": "a:b"}, "contains ':'"),
        ((50, 50), {"control": "nobody"}, "control 'nobody' is not one of the variants"),
        ((50, 50), {"exposure": 0.005}, "exposure 0.005 is not a multiple of 0.01"),
        ((50, 50), {"exposure": 0}, "greater than 0"),
        ((50, 50), {"experiment_id": ""}, "at least 1 character"),
        ((50, 50), {"mode": "both"}, "'split' or 'paired'"),
        ((50, 50), {"surprise": 1}, "surprise"),
    ],
)
def test_what_an_experiment_may_not_say(weights, more, text):
    with pytest.raises(ValidationError, match=text):
        experiment(*weights, **more)


@pytest.mark.parametrize("weight", [-1, 101, "50", True, float("nan"), None])
def test_weight_must_be_a_percentage(weight):
    with pytest.raises(ValidationError):
        VariantConfig(variant_id="a", weight=weight, transform_overrides={})


def test_variant_ids_are_unique():
    twin = VariantConfig(variant_id="same", weight=50, transform_overrides={})
    with pytest.raises(ValidationError, match="variant_id 'same' is used twice"):
        ExperimentConfig(experiment_id="e", name="n", variants=[twin, twin])


def test_variants_may_be_plain_mappings_and_tuples():
    plain = ({"variant_id": "a", "weight": 1}, {"variant_id": "b", "weight": 99})
    config = ExperimentConfig(experiment_id="e", name="n", variants=plain)
    assert [variant.transform_overrides for variant in config.variants] == [{}, {}]
    assert config.enabled
    assert config.description == ""


METRIC = {"name": "correct", "value": "row['label'] == row['gold']"}


@pytest.mark.parametrize(
    "metric",
    [
        {**METRIC, "type": "proportion", "goal": "increase", "primary": True},
        {"name": "cost", "value": "usage.cost", "goal": "decrease", "type": "ratio", "per": "rows"},
        {**METRIC, "type": "quantile", "q": 0.95, "guardrail": {"max_increase": "20%"}},
        {**METRIC, "guardrail": {"max_decrease": 0.5, "max_increase": "2.5%"}},
    ],
)
def test_metrics_of_the_documented_kinds(metric):
    assert experiment(50, 50, metrics=[metric]).metrics[0].name == metric["name"]


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ([{**METRIC, "type": "ratio"}], "a ratio needs `per`"),
        ([{**METRIC, "type": "quantile"}], "a quantile needs `q`"),
        ([{**METRIC, "q": 0.5}], "q has no meaning with type: mean"),
        ([{**METRIC, "type": "quantile", "q": 1.0}], "less than 1"),
        ([{**METRIC, "guardrail": {}}], "guards nothing"),
        ([{**METRIC, "guardrail": {"max_increase": "much"}}], "'much' is neither a number nor a percentage"),
        ([{**METRIC, "guardrail": {"max_increase": -1}}], "cannot be negative"),
        ([METRIC, METRIC], "name 'correct' is used twice"),
    ],
)
def test_what_a_metric_may_not_say(metrics, text):
    with pytest.raises(ValidationError, match=text):
        experiment(50, 50, metrics=metrics)
