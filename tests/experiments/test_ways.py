"""The engine's totals, the columns and the rows: three ways to the same figures."""

from collections.abc import Callable
from typing import Any

import pytest

from elspeth.api.experiments import compare_experiment
from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.api.verify import verify
from elspeth.contracts.errors import RunInterruptedError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.variants.rows import ExperimentReader
from elspeth.experiments import looking
from elspeth.experiments.analysis import analyse
from elspeth.experiments.report.words import remarks
from elspeth.experiments.statistics.proportions import Share, wilson
from elspeth.testing.llm import REFUSALS, Behaviour, LoopbackLLM

EVERYTHING: list[dict[str, Any]] = [
    {"name": "size", "value": "row['size']", "covariate": "row['size'] + row['id'] % 3", "primary": True},
    {"name": "many", "value": "row['size'] * 1e9 + 0.25", "type": "count"},
    {"name": "share", "value": "row['size']", "type": "ratio", "per": "row['id'] % 5 + 1"},
    {"name": "odd", "value": "10 / row['size']"},
    {"name": "right", "value": "10 / row['size'] > 2", "type": "proportion"},
    {"name": "middle", "value": "row['size'] + row['id'] % 7 / 7", "type": "quantile", "q": 0.5},
    {"name": "slow", "value": "state.duration_ms", "type": "quantile", "q": 0.9},
    {"name": "paced", "value": "state.duration_ms + row['size']"},
    {"name": "tries", "value": "state.attempt if state.failed else 0"},
    {"name": "cost", "value": "usage.cost", "type": "ratio", "per": "rows"},
]


def told(lab: Any, way: str, **options: Any) -> dict[str, Any]:
    found = compare_experiment("exp-1", lab.database, **options).to_dict()
    assert found.pop("figures_from") == way
    return found


def rounded(found: Any) -> Any:
    """What is compared: all of it, up to rounding, whatever the depth."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return pytest.approx(found, rel=1e-9, abs=1e-12) if isinstance(found, float) else found


def after(looks: int) -> Callable[[], bool]:
    """Stops a run at its so-many-th look whether it should."""
    answers = iter([False] * looks)
    return lambda: next(answers, True)


def check_ways(lab: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All ways say the same; returns what."""
    totals, rows = told(lab, "totals"), told(lab, "rows", from_rows=True)
    assert totals == rounded(rows)
    monkeypatch.setattr(looking, "metrics_key", lambda _: "none")
    assert told(lab, "columns") == rounded(rows)
    monkeypatch.undo()
    return totals


@pytest.mark.parametrize("customers", [None, 37])
@pytest.mark.parametrize("mode", ["split", "paired"])
def test_three_ways_to_the_same_figures(
    lab: Any, mode: str, customers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.experiment.update(mode=mode, exposure=80)
    lab.experiment["metrics"] += EVERYTHING
    fails = {
        "operations": [{"target": "label", "expression": "row['gold'] if 1 / (row['size'] - 3) else ''"}]
    }
    third = {"variant_id": "third", "weight": 20.25, "transform_overrides": fails}
    lab.experiment["variants"][0]["weight"] = 29.75
    lab.experiment["variants"].append(third)
    lab.pipeline["checkpoint"] = {"checkpoint_interval": 61}
    lab.rows(400, customers=customers).run()
    found = check_ways(lab, monkeypatch)
    assert found["variants"][2]["failed"] > 0
    assert any(one["rows_without_value"] for one in found["metrics"])


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_a_run_that_was_stopped_often_counts_nothing_twice(
    lab: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.experiment["mode"] = mode
    lab.experiment["metrics"] += EVERYTHING
    lab.pipeline["checkpoint"] = {"checkpoint_interval": 50}
    with pytest.raises(RunInterruptedError) as stopped:
        run(
            lab.rows(600, customers=90).path,
            database=lab.database,
            environ={},
            stop=after(3),
        )
    for _ in range(2):
        check_ways(lab, monkeypatch)
        with pytest.raises(RunInterruptedError):
            resume(stopped.value.run_id, database=lab.database, stop=after(3))
    resume(stopped.value.run_id, database=lab.database)
    found = check_ways(lab, monkeypatch)
    assert sum(one["rows"] for one in found["variants"]) == 600 * (2 if mode == "paired" else 1)
    report = verify(stopped.value.run_id, database=lab.database)
    assert report.ok


def test_a_variant_whose_row_comes_apart_later_is_measured_by_its_own_row(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"source_field": "text", "output_field": "word"}
    lab.pipeline["transforms"].append({"name": "words", "plugin": "line_explode", "options": options})
    lab.experiment["transform"] = "classify"
    lab.rows(40).run()
    found = check_ways(lab, monkeypatch)
    assert found["metrics"][0]["rows_without_value"] == 0


def test_why_rows_have_no_value_is_said_without_the_values(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.experiment["metrics"] = [
        {"name": "text", "value": "row['text']"},
        {"name": "lost", "value": "row['nosuch'] + 1"},
        {"name": "odd", "value": "10 / row['size']"},
    ]
    lab.rows(39).run()
    text, lost, odd = (one["why_without_value"] for one in check_ways(lab, monkeypatch)["metrics"])
    assert text == {"text is not a number": 39}
    assert list(lost.values()) == [39]
    assert "'nosuch'" in next(iter(lost))
    assert list(odd.values()) == [3]
    assert "field 'size' is 0" in next(iter(odd))
    notes = " ".join(
        remarks(compare_experiment("exp-1", lab.database).analysis.comparison.results[2], why=True)
    )
    assert "3 × expression 10 / row['size'] failed" in notes


def test_a_variant_that_gives_several_rows_or_none_is_one_outcome(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"source_field": "text", "output_field": "word"}
    lab.pipeline["transforms"] = [{"name": "words", "plugin": "line_explode", "options": options}]
    lab.experiment["variants"][1]["transform_overrides"] = {"source_field": "gold"}
    lab.experiment["metrics"] = [
        {"name": "length", "value": "len(row['word'])"},
        {"name": "before", "value": "len(row['text'])"},  # what came in is not what came out
    ]
    lab.rows(60).run()
    found = check_ways(lab, monkeypatch)
    assert sum(one["rows"] for one in found["variants"]) == 60
    assert [one["rows_without_value"] for one in found["metrics"]] == [60, 60]


def test_the_runs_of_one_phase_are_added_up_by_their_columns(lab: Any) -> None:
    lab.rows(200, customers=70).run()
    lab.rows(300, customers=90).run()
    found = told(lab, "columns", runs=["all"])
    assert sum(one["units"] for one in found["variants"]) == 90
    assert found == rounded(told(lab, "rows", runs=["all"], from_rows=True))


def test_metrics_of_another_file_are_read_from_the_rows_and_kept(lab: Any) -> None:
    lab.rows(100).run()
    lab.experiment["metrics"].append({"name": "size", "value": "row['size']"})
    path = lab.path
    report = compare_experiment("exp-1", lab.database, metrics_of=path)
    assert "read from the rows themselves; what was added up is kept for the next time" in report.notes()
    assert [one["metric"] for one in report.to_dict()["metrics"]] == ["correct", "size"]
    assert lab.query("SELECT COUNT(*) FROM experiment_stats") == [(1,)]
    lab.execute("DELETE FROM traces")
    assert compare_experiment("exp-1", lab.database, metrics_of=path).to_dict() == rounded(report.to_dict())


def test_rows_assigned_by_recorder_calls_count_too(lab: Any) -> None:
    lab.experiment["exposure"] = 50
    lab.rows(50).run()
    engine = told(lab, "totals")["rows"]["assigned"]
    db = LandscapeDB.from_url(lab.database, create=False)
    run_id = ExperimentReader(db).runs()[0].run_id
    LandscapeRecorder(db).record_experiment_assignment(run_id, f"{run_id}-50", "exp-1", "control", {})
    db.close()
    found = told(lab, "rows")["rows"]["assigned"]
    assert found == {**engine, "control": engine["control"] + 1}


def test_what_was_put_down_is_part_of_the_proof(lab: Any) -> None:
    result = lab.rows(100).run()
    assert verify(result.run_id, database=lab.database).ok
    lab.execute(
        "UPDATE experiment_totals SET totals_json = replace(totals_json, '\"losses\":0', '\"losses\":1')"
    )
    lab.execute("UPDATE experiment_readings SET data = data || x'00' WHERE reading = 'failed'")
    lab.execute("UPDATE experiment_totals SET totals_json = totals_json || ' '")
    report = verify(result.run_id, database=lab.database)
    assert {finding.table for finding in report.all_findings()} == {
        "experiment_readings",
        "experiment_totals",
    }


@pytest.mark.parametrize("url", ["sqlite", "postgresql"])
@pytest.mark.parametrize("mode", ["split", "paired"])
def test_who_refused_how_often_is_told_without_a_metric(
    lab: Any, mode: str, url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url == "postgresql":
        lab.database = request.getfixturevalue("postgres_url")
    lab.experiment["mode"] = mode
    lab.pipeline["checkpoint"] = {"checkpoint_interval": 40}
    lab.experiment["metrics"].append(
        {"name": "refused", "value": "usage.refused_calls > 0", "type": "proportion", "goal": "decrease"}
    )
    with LoopbackLLM(Behaviour(error_rate=0.4, faults=(*REFUSALS, "500"), seed=5)) as server:
        options = {"api_key": "none", "base_url": f"{server.url}/v1", "model": "m", "max_attempts": 1}
        queries = {name: {"template": f"{name} {{{{ row.text }}}}"} for name in ("label", "why")}
        lab.pipeline["transforms"] = [
            {"name": "classify", "plugin": "llm", "options": {**options, "queries": queries}}
        ]
        lab.experiment["variants"][1]["transform_overrides"] = {"model": "other"}
        run_id = lab.rows(120, customers=50).run().run_id
        refused_calls = sum(server.faults[how] for how in REFUSALS)
    found = check_ways(lab, monkeypatch)
    assert sum(one["refused_calls"] for one in found["variants"]) == refused_calls > 0
    db = LandscapeDB.from_url(lab.database, create=False)
    counted = LandscapeRecorder(db).get_variant_metrics(run_id, "exp-1")
    db.close()
    for one, figures in zip(found["variants"], counted.values(), strict=True):
        rows, refused = one["rows"], one["refused"]
        assert 0 < refused < one["refused_calls"]  # some rows were refused both answers
        assert refused < one["failed"]  # others failed for another reason
        assert one["refusal_rate"] == refused / rows == figures["refusal_rate"]
        assert one["refusal_rate_95"] == pytest.approx(wilson(Share(refused, rows)))
        assert (figures["refused_count"], figures["refused_calls"]) == (refused, one["refused_calls"])
    measured = found["metrics"][1]
    rates = [one["refusal_rate"] for one in found["variants"]]
    assert [measured["control"], measured["variant"]] == pytest.approx(rates)


def test_postgresql_keeps_the_same_totals(
    lab: Any, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.experiment["mode"] = "paired"
    lab.experiment["metrics"] += EVERYTHING
    lab.database = postgres_url
    result = lab.rows(120, customers=50).run()
    check_ways(lab, monkeypatch)
    assert verify(result.run_id, database=postgres_url).ok


def test_totals_that_were_given_up_are_added_up_from_columns(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elspeth.experiments.merging.UnitBook.__init__.__defaults__", (20,))
    lab.pipeline["checkpoint"] = {"checkpoint_interval": 50}
    lab.rows(200, customers=150).run()
    db = LandscapeDB.from_url(lab.database, create=False)
    found = analyse(ExperimentReader(db), "exp-1")
    db.close()
    assert found.way is looking.Way.COLUMNS
    assert told(lab, "columns") == rounded(told(lab, "rows", from_rows=True))
