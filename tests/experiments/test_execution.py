"""An experiment in a run: who meets which variant, what goes on to the sinks, what is on record."""

import json
from typing import Any

import pytest

from elspeth.api.experiments import compare_experiment
from elspeth.api.explain import explain
from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.api.verify import verify
from elspeth.contracts.errors import RunInterruptedError
from elspeth.core.config import ExperimentConfig, bucket_of, exposure_bucket
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.variants.assignments import AssignmentConflictError

ASSIGNED = """SELECT row_id, unit, variant_id, bucket, sub_bucket, exposure_bucket, phase,
    hash_version, run_id FROM experiment_assignments"""


def config(lab: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate(lab.experiment)


def test_a_split_sends_each_unit_to_the_variant_of_the_formula(lab: Any) -> None:
    result = lab.rows(300, customers=90).run()
    assigned = lab.query(ASSIGNED)
    assert len(assigned) == 300
    for row in assigned:
        assert row[2] == config(lab).assign_variant(row[1]).variant_id
        assert (row[3] < 50) == (row[2] == "control")
        assert row[5] is None
        assert row[7] == 1
    assert {row[6] for row in assigned} == {assigned[0][6]}
    spam = {"control": {"win money", "lunch money"}, "treatment": {"cheap pills now", "win money"}}
    for row in lab.output():
        variant = config(lab).assign_variant(row["customer"]).variant_id
        assert (row["label"] == "spam") == (row["text"] in spam[variant])
    assert result.outcomes == {"COMPLETED": 300}
    assert result.sinks["out"].rows == 300


def test_without_a_unit_the_rows_content_decides_so_every_run_agrees(lab: Any) -> None:
    del lab.experiment["unit"]
    lab.rows(100).run()
    lab.run()
    by_run: dict[str, dict[str, str]] = {}
    for row in lab.query(ASSIGNED):
        by_run.setdefault(row[8], {})[row[1]] = row[2]
    first, second = by_run.values()
    assert first == second
    hashes = {row[0] for row in lab.query("SELECT source_data_hash FROM rows")}
    assert set(first) == hashes


def test_exposure_leaves_the_others_to_the_transform_as_configured(lab: Any) -> None:
    lab.rows(400).run()
    whole = {row[1]: row[2] for row in lab.query(ASSIGNED)}
    lab.experiment["exposure"] = 30
    lab.run()
    (newest,) = lab.query("SELECT run_id FROM runs ORDER BY run_no DESC LIMIT 1")[0]
    part = {row[1]: row for row in lab.query(ASSIGNED) if row[8] == newest and row[5] is not None}
    assert set(part) == {unit for unit in whole if exposure_bucket("exp-1", unit) < 3000}
    assert all(row[2] == whole[unit] for unit, row in part.items())
    unexposed = [row for row in lab.output() if row["customer"] not in part]
    assert len(unexposed) + len(part) == 400
    assert all((row["label"] == "spam") == ("money" in row["text"]) for row in unexposed)


def test_a_pair_goes_through_all_variants_and_only_the_control_goes_on(lab: Any) -> None:
    lab.experiment["mode"] = "paired"
    result = lab.rows(50).run()
    assert result.outcomes == {"COMPLETED": 100, "FORKED": 50}
    assert {name: sink.rows for name, sink in result.sinks.items()} == {
        "out": 50, "shadow:exp-1": 50, "quarantine": 0
    }  # fmt: skip
    assert all((row["label"] == "spam") == ("money" in row["text"]) for row in lab.output())
    nodes = dict(
        lab.query("SELECT node_id, COUNT(*) FROM node_states WHERE node_id LIKE 'classify%' GROUP BY 1")
    )
    assert nodes == {"classify@control": 50, "classify@treatment": 50}
    assert lab.query("SELECT DISTINCT branch_name FROM tokens WHERE branch_name IS NOT NULL ORDER BY 1") == [
        ("control",), ("treatment",)
    ]  # fmt: skip
    assert len(lab.query(ASSIGNED)) == 50


def test_a_failing_shadow_is_an_outcome_and_harms_nobody(lab: Any) -> None:
    lab.experiment["mode"] = "paired"
    lab.experiment["variants"][1]["transform_overrides"] = {
        "operations": [{"target": "label", "expression": "'spam' if 1 / row['size'] > 0 else 'ham'"}]
    }
    result = lab.rows(26).run()
    assert result.sinks["out"].rows == 26
    assert result.outcomes["FAILED"] == 2
    assert result.sinks.keys() == {"out", "shadow:exp-1", "quarantine"}
    assert result.sinks["quarantine"].rows == 0
    errors = lab.query("SELECT DISTINCT node_id, destination FROM transform_errors")
    assert errors == [("classify@treatment", "shadow:exp-1")]


def test_a_row_without_a_unit_is_quarantined_with_the_reason(lab: Any) -> None:
    lab.experiment["unit"] = "row['customer'] if row['size'] > 0 else None"
    result = lab.rows(26).run()
    assert result.sinks["quarantine"].rows == 2
    (reason,) = lab.query("SELECT DISTINCT reason FROM transform_errors")[0]
    assert "is null, and a row without a unit can't be assigned" in reason


def test_a_row_that_came_apart_is_assigned_once(lab: Any) -> None:
    lab.pipeline["transforms"].insert(
        0,
        {
            "name": "words",
            "plugin": "line_explode",
            "options": {"source_field": "text", "output_field": "text"},
        },
    )
    lab.experiment["transform"] = "classify"
    lab.experiment["unit"] = "row['text']"
    lab.rows(3)
    path = lab.directory / "in.csv"
    path.write_text('id,customer,text,gold,size\n1,c1,"one\ntwo\nthree\nfour\nfive\nsix",ham,1\n')
    result = lab.run()
    assert result.sinks["out"].rows == 6
    ((_, unit, variant, *_),) = lab.query(ASSIGNED)
    assert unit == "one"
    assert lab.query(f"SELECT COUNT(*) FROM node_states WHERE node_id = 'classify@{variant}'") == [(6,)]


def test_changed_weights_are_a_new_phase_and_more_exposure_is_none(lab: Any) -> None:
    lab.rows(20).run()
    lab.experiment["exposure"] = 90
    lab.run()
    lab.experiment["variants"][0]["weight"] = 60
    lab.experiment["variants"][1]["weight"] = 40
    lab.run()
    phases = lab.query("SELECT phase FROM experiment_assignments GROUP BY run_id ORDER BY run_id, phase")
    assert len(phases) == 3
    assert len(set(phases)) == 2


def test_a_disabled_experiment_does_nothing(lab: Any) -> None:
    lab.experiment["enabled"] = False
    lab.rows(20).run()
    assert lab.query(ASSIGNED) == []
    assert lab.query("SELECT node_id FROM nodes WHERE node_id LIKE 'classify%'") == [("classify",)]


def test_the_recorder_reads_what_the_engine_wrote(lab: Any) -> None:
    result = lab.rows(60).run()
    db = LandscapeDB.from_url(lab.database, create=False)
    recorder = LandscapeRecorder(db)
    found = recorder.get_experiment_assignments(result.run_id, "exp-1")
    metrics = recorder.get_variant_metrics(result.run_id, "exp-1")
    db.close()
    assert len(found) == 60
    treated = next(one for one in found if one.variant_id == "treatment")
    assert treated.transform_overrides == lab.experiment["variants"][1]["transform_overrides"]
    assert sum(one["count"] for one in metrics.values()) == 60
    assert all(one["success_rate"] == 1 for one in metrics.values())


def test_gates_and_forks_around_an_experiment_stay_what_they_were(lab: Any) -> None:
    lab.pipeline["transforms"][0]["on_success"] = "labelled"
    lab.pipeline["gates"] = [
        {
            "name": "route",
            "input": "labelled",
            "condition": "row['label'] == 'spam'",
            "routes": {"true": "spam", "false": "out"},
        }
    ]
    lab.pipeline["sinks"]["spam"] = {"plugin": "csv", "options": {"path": str(lab.directory / "spam.csv")}}
    lab.experiment["mode"] = "paired"
    result = lab.rows(40).run()
    assert result.sinks["spam"].rows + result.sinks["out"].rows == 40
    assert result.outcomes == {"COMPLETED": 40, "FORKED": 40, "ROUTED": 40}


@pytest.mark.parametrize("weight", [0.5, 33.33])
def test_fine_weights(lab: Any, weight: float) -> None:
    lab.experiment["variants"][0]["weight"] = round(100 - weight, 2)
    lab.experiment["variants"][1]["weight"] = weight
    lab.rows(300).run()
    for row in lab.query(ASSIGNED):
        assert (row[3] * 100 + row[4] < round((100 - weight) * 100)) == (row[2] == "control")


def test_explain_tells_unit_bucket_variant_and_overrides(lab: Any) -> None:
    result = lab.rows(5).run()
    found = explain(result.run_id, row=3, database=lab.database).to_dict()
    (told,) = found["rows"][0]["experiments"]
    assert told["unit"] == "c3"
    bucket = bucket_of("exp-1", "c3")
    assert (told["bucket"], told["sub_bucket"]) == bucket
    variant = config(lab).assign_variant("c3")
    assert told["variant_id"] == variant.variant_id
    assert told["transform_overrides"] == variant.transform_overrides


def test_a_recorder_can_not_give_a_row_another_variant_than_the_engine_did(lab: Any) -> None:
    lab.rows(5).run()
    ((run_id, row_id, variant, overrides),) = lab.query(
        "SELECT run_id, row_id, variant_id, transform_overrides_json FROM experiment_assignments LIMIT 1"
    )
    db = LandscapeDB.from_url(lab.database, create=False)
    record = LandscapeRecorder(db).record_experiment_assignment
    assert record(run_id, row_id, "exp-1", variant, json.loads(overrides)).variant_id == variant
    with pytest.raises(AssignmentConflictError, match=f"has variant '{variant}'"):
        record(run_id, row_id, "exp-1", "another", {})
    db.close()
    assert lab.query("SELECT COUNT(*) FROM experiment_assignments") == [(5,)]


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_every_assignment_is_a_leaf_of_the_tree_once(lab: Any, mode: str) -> None:
    lab.experiment["mode"] = mode
    lab.rows(30).run()
    run = lab.run()
    compare_experiment("exp-1", lab.database)
    report = verify(run.run_id, database=lab.database)
    assert [finding for one in report.runs for finding in one.findings] == []
    for table, column in (("traces", "assigned"), ("experiment_variants", "variant_id")):
        lab.execute(f"UPDATE {table} SET {column} = replace({column}, 'c', 'd')")
        found = verify(run.run_id, database=lab.database).all_findings()
        assert {finding.table for finding in found} == {table}
        lab.execute(f"UPDATE {table} SET {column} = replace({column}, 'd', 'c')")


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_a_run_that_was_stopped_goes_on_with_the_same_variants(lab: Any, mode: str) -> None:
    lab.experiment["mode"] = mode
    lab.rows(20_000).run()
    whole = lab.output()
    looks = iter([False, False])
    with pytest.raises(RunInterruptedError):
        run(lab.path, database=lab.database, environ={}, stop=lambda: next(looks, True))
    (stopped,) = lab.query("SELECT run_id FROM runs ORDER BY run_no DESC LIMIT 1")[0]
    ((before,),) = lab.query(f"SELECT COUNT(*) FROM experiment_assignments WHERE run_id = '{stopped}'")
    assert before < 20_000
    so_far = compare_experiment("exp-1", lab.database).to_dict()
    assert so_far["final"] is False
    assert so_far["metrics"][0]["effect"]["always_valid"] is True
    assert sum(one["rows"] for one in so_far["variants"]) == before * (2 if mode == "paired" else 1)
    resume(stopped, database=lab.database)
    assert lab.output() == whole
    ((after,),) = lab.query(f"SELECT COUNT(*) FROM experiment_assignments WHERE run_id = '{stopped}'")
    assert after == 20_000
    found = compare_experiment("exp-1", lab.database).to_dict()
    assert sum(one["rows"] for one in found["variants"]) == 20_000 * (2 if mode == "paired" else 1)


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_between_a_fork_and_a_coalesce(lab: Any, mode: str) -> None:
    lab.experiment["mode"] = mode
    lab.pipeline["gates"] = [
        {"name": "both", "condition": "True", "routes": {"true": "fork"}, "fork_to": ["left", "right"],
         "input": "rows"}
    ]  # fmt: skip
    lab.pipeline["source"]["on_success"] = "rows"
    lab.pipeline["transforms"][0] |= {"input": "left", "on_success": "labelled"}
    lab.pipeline["coalesce"] = [
        {"name": "again", "branches": ["labelled", "right"], "policy": "require_all", "on_success": "out"}
    ]
    result = lab.rows(40).run()
    assert result.sinks["out"].rows == 40
    shadows = 40 if mode == "paired" else 0
    assert result.outcomes["COALESCED"] == 80
    assert result.outcomes["COMPLETED"] == 40 + shadows
    assert {row["label"] for row in lab.output()} == {"spam", "ham"}
    assert len(lab.query(ASSIGNED)) == 40
    found = compare_experiment("exp-1", lab.database).to_dict()
    assert sum(one["rows"] for one in found["variants"]) == 40 + shadows


def test_two_experiments_one_behind_the_other(lab: Any) -> None:
    second = {
        "name": "second",
        "plugin": "value_transform",
        "options": {"operations": [{"target": "twice", "expression": "row['size'] * 2"}]},
    }
    thrice = {"operations": [{"target": "twice", "expression": "row['size'] * 3"}]}
    lab.pipeline["transforms"].append(second)
    lab.experiment["transform"] = "classify"
    lab.experiment["mode"] = "paired"
    del lab.experiment["unit"]
    other = {
        "experiment_id": "exp-2",
        "name": "Other",
        "transform": "second",
        "mode": "paired",
        "variants": [
            {"variant_id": "a", "weight": 50},
            {"variant_id": "b", "weight": 50, "transform_overrides": thrice},
        ],
        "metrics": [{"name": "twice", "value": "row['twice']"}],
    }
    lab.pipeline["experiments"] = [lab.pipeline.pop("experiment"), other]
    result = lab.rows(30).run()
    assert result.sinks["out"].rows == result.sinks["shadow:exp-1"].rows == result.sinks["shadow:exp-2"].rows
    assert lab.query("SELECT experiment_id, COUNT(*) FROM experiment_assignments GROUP BY 1") == [
        ("exp-1", 30), ("exp-2", 30)
    ]  # fmt: skip
    units = lab.query("SELECT COUNT(DISTINCT unit) FROM experiment_assignments")
    assert units == [(30,)]
    (metric,) = compare_experiment("exp-2", lab.database).to_dict()["metrics"]
    assert metric["variant"] == pytest.approx(metric["control"] * 1.5)


def test_what_comes_from_variables_is_known_to_whoever_compares_but_overrides_are_not(lab: Any) -> None:
    lab.experiment["unit"] = "${UNIT}"
    lab.experiment["exposure"] = "${EXPOSURE}"
    lab.experiment["variants"][1]["transform_overrides"] = {
        "operations": [{"target": "label", "expression": "'${WORD}'"}]
    }
    environ = {"UNIT": "row['customer']", "EXPOSURE": "90", "WORD": "hidden-word"}
    run(lab.rows(50).path, database=lab.database, environ=environ)
    found = compare_experiment("exp-1", lab.database).to_dict()
    assert (found["unit"], found["exposure"]) == ("row['customer']", 90)
    assert not any("hidden-word" in row[0] for row in lab.query("SELECT config_json FROM nodes"))
    assert not any(
        "hidden-word" in row[0]
        for row in lab.query("SELECT transform_overrides_json FROM experiment_assignments")
    )


@pytest.mark.parametrize("url", ["sqlite", "postgresql"])
def test_the_recorder_measures_variants_at_their_own_nodes(
    lab: Any, url: str, request: pytest.FixtureRequest
) -> None:
    if url == "postgresql":
        lab.database = request.getfixturevalue("postgres_url")
    lab.experiment["mode"] = "paired"
    lab.experiment["variants"][1]["transform_overrides"] = {
        "operations": [{"target": "label", "expression": "'spam' if 1 / row['size'] > 0 else 'ham'"}]
    }
    result = lab.rows(26).run()
    db = LandscapeDB.from_url(lab.database, create=False)
    metrics = LandscapeRecorder(db).get_variant_metrics(result.run_id, "exp-1")
    db.close()
    counts = {name: (one["count"], one["success_count"], one["error_count"]) for name, one in metrics.items()}
    assert counts == {"control": (26, 26, 0), "treatment": (26, 24, 2)}
    assert all(0 < one["latency_p50_ms"] <= one["latency_p95_ms"] for one in metrics.values())
