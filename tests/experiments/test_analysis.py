"""What is measured, from the record of real runs, and what is said about it."""

from html.parser import HTMLParser
from typing import Any

import pytest

from elspeth.api.experiments import compare_experiment, experiment_flips, list_experiments
from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.experiments.statistics.proportions import Share, proportions


def metrics_of(lab: Any, **options: Any) -> dict[str, Any]:
    found = compare_experiment("exp-1", lab.database, **options).to_dict()
    return {one["metric"]: one for one in found["metrics"]} | {"": found}


def test_a_split_is_counted_as_a_person_would_count_it(lab: Any) -> None:
    lab.rows(400).run()
    right = {"control": [0, 0], "treatment": [0, 0]}
    for row in lab.output():
        ((variant,),) = lab.query(
            f"SELECT variant_id FROM experiment_assignments WHERE unit = '{row['customer']}'"
        )
        right[variant][0] += row["label"] == row["gold"]
        right[variant][1] += 1
    expected = proportions(Share(*right["control"]), Share(*right["treatment"]))
    found = metrics_of(lab)
    effect = found["correct"]["effect"]
    assert effect["difference"] == pytest.approx(expected.difference)
    assert (effect["low"], effect["high"], effect["p"]) == pytest.approx(
        (expected.low, expected.high, expected.p)
    )
    assert found["correct"]["verdict"] == "better"
    assert found[""]["verdicts"] == {"treatment": "better"}
    assert found[""]["final"] is True
    assert found[""]["srm"]["assigned"]["ok"] is True
    assert {one["variant_id"]: one["rows"] for one in found[""]["variants"]} == {
        name: count for name, (_, count) in right.items()
    }


def test_units_with_several_rows_are_clusters(lab: Any) -> None:
    lab.rows(400, customers=40).run()
    found = metrics_of(lab)
    assert found["correct"]["effect"]["method"] == "delta method"
    assert sum(one["units"] for one in found[""]["variants"]) == 40
    assert sum(one["rows"] for one in found[""]["variants"]) == 400


def test_pairs_are_compared_with_themselves(lab: Any) -> None:
    lab.experiment["mode"] = "paired"
    lab.rows(100).run()
    found = metrics_of(lab)
    effect = found["correct"]["effect"]
    assert effect["method"] == "McNemar exact"
    assert effect["difference"] == pytest.approx(0.4)
    assert found["correct"]["pairs"] == {
        "wins": 40, "ties": 60, "losses": 0, "sign_test_p": pytest.approx(2 * 0.5**40)
    }  # fmt: skip
    assert found[""]["srm"] == {"assigned": None, "analysed": None}
    flips = experiment_flips("exp-1", lab.database)
    assert len(flips) == 40
    assert {tuple(flip.control.items()) + tuple(flip.variant.items()) for flip in flips} == {
        (("label", "ham"), ("label", "spam")),
        (("label", "spam"), ("label", "ham")),
    }
    assert flips[0].explain.startswith(f"elspeth explain {flips[0].run_id} --row ")
    assert len(experiment_flips("exp-1", lab.database, limit=3)) == 3


def test_metrics_of_every_type(lab: Any) -> None:
    lab.experiment["metrics"] += [
        {"name": "size", "value": "row['size']", "covariate": "row['size'] + row['id'] % 3"},
        {"name": "plain", "value": "row['size']"},
        {"name": "many", "value": "row['size']", "type": "count"},
        {"name": "share", "value": "row['size']", "type": "ratio", "per": "row['id'] + 1"},
        {"name": "cost", "value": "usage.cost", "type": "ratio", "per": "rows", "goal": "decrease"},
        {"name": "middle", "value": "row['size']", "type": "quantile", "q": 0.5,
         "guardrail": {"max_increase": "500%"}},
        {"name": "slow", "value": "state.duration_ms", "type": "quantile", "q": 0.95},
    ]  # fmt: skip
    lab.rows(400).run()
    found = metrics_of(lab)
    assert found["size"]["effect"]["method"].startswith("CUPED")
    assert found["size"]["cuped"]["variance_removed"] > 0.8
    relative = found["size"]["effect"]["difference"] / found["size"]["control"]
    assert found["size"]["lift"]["relative"] == pytest.approx(relative)
    assert found["plain"]["effect"]["method"] == "Welch's t"
    assert found["many"]["effect"]["difference"] == pytest.approx(found["plain"]["effect"]["difference"])
    assert found["share"]["effect"]["method"] == "delta method"
    assert found["cost"]["cannot_tell"] == "the values do not vary, so chance has no measure"
    assert found["middle"]["effect"]["method"] == "order statistics"
    assert found["middle"]["goal"] == "decrease"
    assert found["middle"]["guardrail"]["state"] == "held"
    assert found["slow"]["control"] > 0


def test_paired_metrics_of_every_type(lab: Any) -> None:
    lab.experiment["mode"] = "paired"
    numbers = {"operations": [{"target": "size", "expression": "row['size'] + row['id'] % 2"}]}
    lab.experiment["variants"][1]["transform_overrides"] = numbers
    lab.pipeline["transforms"][0]["options"] = {
        "operations": [{"target": "size", "expression": "row['size'] + 0"}]
    }
    lab.experiment["metrics"] = [
        {"name": "mean", "value": "row['size']"},
        {"name": "count", "value": "row['size']", "type": "count"},
        {"name": "ratio", "value": "row['size']", "type": "ratio", "per": "row['id'] + 1"},
        {"name": "ratio_of_rows", "value": "row['size']", "type": "ratio", "per": "rows"},
        {"name": "middle", "value": "row['size']", "type": "quantile", "q": 0.5},
    ]
    lab.rows(200).run()
    found = metrics_of(lab)
    assert found["mean"]["effect"]["difference"] == pytest.approx(0.5)
    assert found["mean"]["effect"]["method"] == "paired t"
    assert found["count"]["effect"]["p"] == pytest.approx(found["mean"]["effect"]["p"])
    assert found["ratio_of_rows"]["effect"]["p"] == pytest.approx(found["mean"]["effect"]["p"])
    assert found["ratio"]["effect"]["method"] == "paired, delta method"
    assert found["ratio"]["effect"]["difference"] == pytest.approx(100 / 20100)
    assert found["middle"]["effect"]["method"] == "order statistics"
    assert found[""]["verdicts"] == {}


def test_rows_on_which_a_metric_fails_are_counted_and_shown(lab: Any) -> None:
    lab.experiment["metrics"].append({"name": "odd", "value": "10 / row['size']"})
    lab.rows(260).run()
    report = compare_experiment("exp-1", lab.database)
    found = {one["metric"]: one for one in report.to_dict()["metrics"]}
    assert found["odd"]["rows_without_value"] == 20
    assert any("odd (treatment): 20 rows without a value" in note for note in report.notes())


def test_a_failed_variant_counts_as_not_correct(lab: Any) -> None:
    lab.experiment["mode"] = "paired"
    lab.experiment["variants"][1]["transform_overrides"] = {
        "operations": [{"target": "label", "expression": "row['gold'] if 1 / row['size'] > 0 else ''"}]
    }
    lab.rows(130).run()
    found = metrics_of(lab)
    (control, variant) = found[""]["variants"]
    assert (control["failed"], variant["failed"]) == (0, 10)
    assert found["correct"]["variant"] == pytest.approx(120 / 130)
    assert found["correct"]["rows_without_value"] == 10
    failed = [flip for flip in experiment_flips("exp-1", lab.database) if flip.statuses[1] == "failed"]
    assert len(failed) == 10
    assert all(flip.variant == {} for flip in failed)


def test_what_was_added_up_is_kept_until_something_changes(lab: Any) -> None:
    lab.rows(100).run()
    first = metrics_of(lab)
    assert lab.query("SELECT COUNT(*) FROM experiment_stats") == [(0,)]
    lab.run()
    both = metrics_of(lab, runs=["all"])
    assert both[""]["final"] is False
    assert both["correct"]["effect"]["always_valid"] is True
    assert sum(one["rows"] for one in both[""]["variants"]) == 200
    assert sum(one["units"] for one in both[""]["variants"]) == 100
    assert lab.query("SELECT COUNT(*) FROM experiment_stats") == [(1,)]
    assert metrics_of(lab, runs=["all"]) == both
    assert both["correct"]["effect"]["low"] < first["correct"]["effect"]["low"]


def test_phases_are_never_pooled(lab: Any) -> None:
    lab.rows(100).run()
    lab.experiment["variants"][0]["weight"], lab.experiment["variants"][1]["weight"] = 60, 40
    second = lab.run()
    found = metrics_of(lab, runs=["all"])[""]
    assert [run["run_id"] for run in found["runs"]] == [second.run_id]
    assert len(found["runs_of_other_phases"]) == 1
    assert sum(found["rows"]["assigned"].values()) == 100
    assert list_experiments(lab.database)[0].phases == 2


def test_a_wrong_sample_ratio_makes_everything_invalid(lab: Any) -> None:
    lab.rows(300).run()
    db_rows = lab.query("SELECT COUNT(*) FROM experiment_assignments WHERE variant_id = 'control'")
    assert db_rows[0][0] > 100
    lab.execute("""UPDATE traces SET assigned = NULL WHERE row_no IN (SELECT row_index FROM rows
        JOIN experiment_assignments USING (row_id) WHERE variant_id = 'control' AND bucket < 35)""")
    found = metrics_of(lab, from_rows=True)
    assert found[""]["srm"]["assigned"]["ok"] is False
    assert found["correct"]["verdict"] == "invalid"
    assert found[""]["verdicts"] == {"treatment": "invalid"}


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_rows_are_an_honest_cannot_tell(lab: Any, count: int) -> None:
    lab.rows(count).run()
    found = metrics_of(lab)
    assert found["correct"]["effect"] is None
    assert found["correct"]["cannot_tell"]
    assert found["correct"]["verdict"] == "inconclusive"


def test_a_run_without_rows(lab: Any) -> None:
    lab.pipeline["source"]["options"]["schema"] = {
        "mode": "fixed",
        "fields": ["id: int", "customer: str", "text: str", "gold: str", "size: int"],
    }
    lab.rows(0).run()
    found = metrics_of(lab)
    assert found["correct"]["cannot_tell"] == "a proportion needs observations, there are 0 and 0"
    assert found[""]["variants"][0]["latency_p95_ms"] is None


def test_all_rows_failing(lab: Any) -> None:
    lab.experiment["variants"][1]["transform_overrides"] = {
        "operations": [{"target": "label", "expression": "1 / (row['size'] * 0)"}]
    }
    lab.rows(100).run()
    found = metrics_of(lab)
    assert found["correct"]["variant"] == 0
    assert found["correct"]["verdict"] == "worse"


def test_what_is_not_on_record(lab: Any) -> None:
    lab.rows(10).run()
    with pytest.raises(NotFoundError, match="no experiment 'exp-9'") as caught:
        compare_experiment("exp-9", lab.database)
    assert "exp-1" in caught.value.fix
    with pytest.raises(NotFoundError, match="not part of a run 'nonsense'"):
        compare_experiment("exp-1", lab.database, runs=["nonsense"])
    with pytest.raises(UsageError, match="splits rows"):
        experiment_flips("exp-1", lab.database)


def test_several_primary_metrics_are_adjusted(lab: Any) -> None:
    lab.experiment["metrics"].append(
        {"name": "size", "value": "row['size']", "primary": True, "non_inferiority_margin": 50}
    )
    lab.rows(200).run()
    found = metrics_of(lab)
    assert found["correct"]["p"] == pytest.approx(2 * found["correct"]["effect"]["p"])
    assert found["size"]["verdict"] == "non-inferior"
    assert found[""]["verdicts"] == {"treatment": "better"}


def test_reports_escape_what_they_are_given(lab: Any) -> None:
    lab.experiment["name"] = "<script>alert(1)</script> | x"
    lab.rows(50).run()
    report = compare_experiment("exp-1", lab.database)
    page = report.to_html()
    assert "<script>" not in page
    assert "http" not in page
    assert "<svg" in page
    assert "&lt;script>" in report.to_markdown()
    assert "\\| x" in report.to_markdown()
    assert report._repr_html_() == page


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_postgresql_says_the_same_as_sqlite(lab: Any, postgres_url: str, mode: str) -> None:
    lab.experiment["mode"] = mode
    lab.experiment["exposure"] = 80
    lab.experiment["metrics"].append({"name": "cost", "value": "usage.cost"})
    lab.rows(120, customers=50).run()
    here = metrics_of(lab)
    flips = experiment_flips("exp-1", lab.database) if mode == "paired" else []
    lab.database = postgres_url
    lab.run()
    there = metrics_of(lab)
    assert there["correct"] == here["correct"]
    assert there[""]["rows"] == here[""]["rows"]
    assert there[""]["rows"]["unexposed"] > 0
    if mode == "paired":
        assert [flip.row_index for flip in experiment_flips("exp-1", postgres_url)] == [
            flip.row_index for flip in flips
        ]


def test_a_look_at_a_running_run_writes_nothing(lab: Any) -> None:
    lab.rows(100).run()
    lab.execute("UPDATE runs SET status = 'running'")
    found = metrics_of(lab)
    assert found[""]["final"] is False
    assert lab.query("SELECT COUNT(*) FROM experiment_stats") == [(0,)]


class Balance(HTMLParser):
    """Open tags, which must all be closed in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed(lab: Any) -> None:
    lab.experiment["metrics"].append({"name": "cost", "value": "usage.cost"})
    lab.rows(100).run()
    reader = Balance()
    reader.handle_startendtag = lambda *_: None  # type: ignore[method-assign]
    reader.feed(compare_experiment("exp-1", lab.database).to_html())
    reader.close()
    assert reader.open == []


def test_fixed_n_tests_come_with_the_number_of_units_that_was_planned(lab: Any) -> None:
    lab.experiment["planned_units"] = 101
    lab.rows(100).run()
    found = metrics_of(lab)
    assert found[""]["final"] is False
    assert found["correct"]["effect"]["always_valid"] is True
    lab.experiment["planned_units"] = 100
    lab.run()
    found = metrics_of(lab)
    assert found[""]["final"] is True
    assert found["correct"]["effect"]["always_valid"] is False


def test_the_lift_of_pairs_heeds_that_they_are_pairs(lab: Any) -> None:
    lab.experiment["mode"] = "paired"
    plus = {"operations": [{"target": "size", "expression": "row['size'] * 1.1 + row['id'] % 2"}]}
    lab.pipeline["transforms"][0]["options"] = {
        "operations": [{"target": "size", "expression": "row['size'] + 0"}]
    }
    lab.experiment["variants"][1]["transform_overrides"] = plus
    lab.experiment["metrics"] = [{"name": "size", "value": "row['size']"}]
    lab.rows(260).run()
    lift = metrics_of(lab)["size"]["lift"]
    assert lift["method"] == "delta method on the ratio of pairs"
    # By linearization: the ratio's residuals v - (v/c) c over the control's mean.
    control = [float(index % 13) for index in range(260)]
    variant = [size * 1.1 + index % 2 for index, size in enumerate(control)]
    ratio, mean = sum(variant) / sum(control), sum(control) / 260
    residuals = [v - ratio * c for c, v in zip(control, variant, strict=True)]
    se = (sum(r * r for r in residuals) / 259 / 260) ** 0.5 / mean
    assert lift["relative"] == pytest.approx(ratio - 1)
    assert lift["high"] - lift["low"] == pytest.approx(2 * 1.959963984540054 * se, rel=1e-6)
