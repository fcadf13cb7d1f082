"""Experiments that make no sense are refused before a row moves, each with its place and a remedy."""

from typing import Any

import pytest

from elspeth.contracts.errors import ConfigurationError


def refusals(lab: Any) -> str:
    lab.rows(10)
    with pytest.raises(ConfigurationError) as caught:
        lab.run()
    assert not (lab.directory / "landscape.db").exists()
    assert all(problem.location is not None and problem.location.line for problem in caught.value.problems)
    return "\n".join(f"{problem.what} {problem.fix}" for problem in caught.value.problems)


def test_an_override_of_an_option_that_does_not_exist(lab: Any) -> None:
    lab.experiment["variants"][1]["transform_overrides"] = {"opperations": []}
    text = refusals(lab)
    assert "opperations" in text
    assert "operations" in text


def test_an_override_with_a_bad_value(lab: Any) -> None:
    lab.experiment["variants"][1]["transform_overrides"] = {
        "operations": [{"target": "label", "expression": "row['text'"}]
    }
    assert "'[' was never closed" in refusals(lab)


def test_weights_that_do_not_total_100(lab: Any) -> None:
    lab.experiment["variants"][0]["weight"] = 49.99
    assert "99.99" in refusals(lab)


def test_one_variant(lab: Any) -> None:
    lab.experiment["variants"] = [{"variant_id": "only", "weight": 100}]
    assert "compares nothing" in refusals(lab)


def test_equal_ids(lab: Any) -> None:
    lab.experiment["variants"][1]["variant_id"] = "control"
    assert "used twice" in refusals(lab)


def test_expressions_that_make_no_sense(lab: Any) -> None:
    lab.experiment["unit"] = "row['customer'"
    lab.experiment["metrics"] += [
        {"name": "a", "value": "usage.price"},
        {"name": "b", "value": "state.durations"},
        {"name": "c", "value": "row.label"},
    ]
    text = refusals(lab)
    assert "usage has no 'price'" in text
    assert "there are usage.cost" in text
    assert "state has no 'durations'" in text
    assert "label" in text


def test_two_experiments_on_one_transform(lab: Any) -> None:
    other = {**lab.experiment, "experiment_id": "exp-2"}
    lab.pipeline["experiments"] = [lab.pipeline.pop("experiment"), other]
    assert "is varied by experiment 'exp-1' already" in refusals(lab)


def test_which_transform_is_varied_must_be_clear(lab: Any) -> None:
    second = {**lab.pipeline["transforms"][0], "name": "again"}
    lab.pipeline["transforms"].append(second)
    text = refusals(lab)
    assert "'classify', 'again'" in text
    assert "add `transform:`" in text
    lab.experiment["variants"][1]["transform_overrides"] = {"nonsense": 1}
    assert "none has all of these options: nonsense" in refusals(lab)


def test_the_only_transform_with_these_options_is_meant(lab: Any) -> None:
    lab.pipeline["transforms"].append({"name": "copy", "plugin": "passthrough", "options": {}})
    lab.rows(10).run()
    assert lab.query("SELECT COUNT(*) FROM nodes WHERE node_id LIKE 'classify@%'") == [(2,)]


def test_a_unit_of_a_field_that_rows_never_have(lab: Any) -> None:
    lab.pipeline["source"]["options"]["schema"] = {
        "mode": "fixed",
        "fields": ["id: int", "customer: str", "text: str", "gold: str", "size: int"],
    }
    lab.experiment["unit"] = "row['custommer']"
    text = refusals(lab)
    assert "custommer" in text
    assert "customer" in text
