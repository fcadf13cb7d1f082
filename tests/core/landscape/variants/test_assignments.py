"""Who got which variant, and how the variants did."""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import inspect, select

from elspeth.contracts.errors import ElspethError
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.schema import experiment_assignments_table, runs_table
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.core.landscape.variants.assignments import AssignmentConflictError

START = datetime(2026, 11, 21, 2, 15, 30, tzinfo=UTC)


@pytest.fixture
def recorder(landscape: LandscapeDB) -> LandscapeRecorder:
    made = LandscapeRecorder(landscape)
    made.begin_run(RunStart("run-1", {}, "h"))
    made.begin_run(RunStart("run-2", {}, "h"))
    return made


def test_an_assignment_is_on_record(recorder: LandscapeRecorder) -> None:
    overrides = {"llm": {"temperature": 0.5, "model": "b"}}
    made = recorder.record_experiment_assignment("run-1", "row-1", "exp", "b", overrides)
    assert (made.run_id, made.row_id, made.experiment_id, made.variant_id) == ("run-1", "row-1", "exp", "b")
    assert made.transform_overrides == overrides
    assert made.created_at.tzinfo is UTC
    assert made.assignment_id
    assert recorder.get_experiment_assignments("run-1", "exp") == [made]
    assert recorder.get_experiment_assignments("run-2", "exp") == []
    with recorder.db.engine.connect() as connection:
        (stored,) = connection.execute(select(experiment_assignments_table)).all()
    assert stored.transform_overrides_json == '{"llm":{"model":"b","temperature":0.5}}'


def test_the_same_again_changes_nothing(recorder: LandscapeRecorder) -> None:
    first = recorder.record_experiment_assignment("run-1", "row-1", "exp", "b", {"a": 1})
    assert recorder.record_experiment_assignment("run-1", "row-1", "exp", "b", {"a": 1}) == first
    for other in (("run-2", "row-1", "exp"), ("run-1", "row-2", "exp"), ("run-1", "row-1", "other")):
        assert recorder.record_experiment_assignment(*other, "c", {}).assignment_id != first.assignment_id


@pytest.mark.parametrize(
    ("variant", "overrides", "what"), [("a", {}, "variant 'a'"), ("b", {}, "other overrides")]
)
def test_a_different_one_is_an_error(
    recorder: LandscapeRecorder, variant: str, overrides: dict[str, Any], what: str
) -> None:
    first = recorder.record_experiment_assignment("run-1", "row-1", "exp", "b", {"a": 1})
    with pytest.raises(AssignmentConflictError, match=f"row 'row-1' has variant 'b' .*{what}") as caught:
        recorder.record_experiment_assignment("run-1", "row-1", "exp", variant, overrides)
    assert isinstance(caught.value, ElspethError)
    assert isinstance(caught.value, ValueError)
    assert recorder.get_experiment_assignments("run-1", "exp") == [first]


def test_a_run_that_is_not_there_is_begun_as_for_tokens(recorder: LandscapeRecorder) -> None:
    made = recorder.record_experiment_assignment("run-404", "row-1", "exp", "b", {})
    assert recorder.get_experiment_assignments("run-404", "exp") == [made]
    assert recorder.get_variant_metrics("run-404", "exp")["b"]["count"] == 1
    with recorder.db.engine.connect() as connection:
        query = select(runs_table.c.run_mode).where(runs_table.c.run_id == "run-404")
        assert connection.execute(query).scalar_one() == "standalone"


def test_the_indexes_of_the_contract_are_there(landscape: LandscapeDB) -> None:
    wanted = {"ix_exp_assignments_experiment", "ix_exp_assignments_variant"}
    assert wanted <= {index.name for index in experiment_assignments_table.indexes}
    assert wanted <= {index["name"] for index in inspect(landscape.engine).get_indexes("assignments")}


def work(recorder: LandscapeRecorder, number: int, milliseconds: float, *, fail: bool = False) -> str:
    row = recorder.create_row("run-1", "orders", number, {"x": number}, f"row-{number}", at=START)
    return recorder.record_node_state(
        row.token_id,
        StateStart("llm"),
        StateEnd(error={"error": "no"}) if fail else StateEnd(),
        started_at=START,
        completed_at=START + timedelta(milliseconds=milliseconds),
    )


def test_metrics_are_those_of_the_rows(recorder: LandscapeRecorder) -> None:
    times = {"a": [10.0, 20.0, 40.0, 80.0, 85.5], "b": [5.0]}
    number = 0
    for variant, durations in times.items():
        for duration in durations:
            state = work(recorder, number, duration, fail=duration == 80.0)
            for turn in (1, 2):
                recorder.record_call(
                    state, ExternalCall("llm", "success", turn, tokens_in=10, tokens_out=turn, cost=0.25)
                )
            recorder.record_experiment_assignment("run-1", f"row-{number}", "exp", variant, {})
            number += 1
    recorder.record_experiment_assignment("run-1", "row-nobody-worked-on", "exp", "a", {})
    recorder.record_experiment_assignment("run-1", "row-0", "other", "z", {})
    metrics = recorder.get_variant_metrics("run-1", "exp")
    assert list(metrics) == ["a", "b"]
    a, b = metrics["a"], metrics["b"]
    assert (a["count"], a["success_count"], a["error_count"]) == (6, 4, 1)
    assert (a["success_rate"], a["error_rate"]) == (0.8, 0.2)
    assert a["latency_mean_ms"] == pytest.approx(statistics.mean(times["a"]))
    assert a["latency_variance_ms"] == pytest.approx(statistics.variance(times["a"]))
    assert a["latency_p50_ms"] == pytest.approx(40)
    assert a["latency_p95_ms"] == pytest.approx(84.4)
    assert (a["tokens_in"], a["tokens_out"], a["tokens_total"], a["calls"]) == (100, 15, 115, 10)
    assert a["cost"] == pytest.approx(2.5)
    assert (b["count"], b["latency_mean_ms"], b["latency_variance_ms"]) == (1, 5, None)
    assert (b["latency_p50_ms"], b["latency_p95_ms"]) == (5, 5)
    kinds = {type(value) for line in metrics.values() for value in line.values()}
    assert kinds <= {int, float, type(None)}


def test_rows_without_work_have_no_rates(recorder: LandscapeRecorder) -> None:
    recorder.record_experiment_assignment("run-1", "row-1", "exp", "a", {})
    (line,) = recorder.get_variant_metrics("run-1", "exp").values()
    assert (line["count"], line["success_count"], line["error_count"]) == (1, 0, 0)
    assert (line["success_rate"], line["latency_mean_ms"], line["tokens_total"]) == (None, None, 0)
    assert recorder.get_variant_metrics("run-1", "unknown") == {}


def test_an_attempt_that_was_repeated_is_no_error(recorder: LandscapeRecorder) -> None:
    work(recorder, 0, 1, fail=True)
    recorder.record_node_state("run-1-0-0", StateStart("llm", step_index=0, attempt=2))
    recorder.record_experiment_assignment("run-1", "row-0", "exp", "a", {})
    (line,) = recorder.get_variant_metrics("run-1", "exp").values()
    assert (line["success_count"], line["error_count"]) == (1, 0)


def test_metrics_of_a_run_of_the_engine(landscape: LandscapeDB, record_orders: Callable[..., Any]) -> None:
    run = record_orders(landscape)
    recorder = LandscapeRecorder(landscape)
    for number in range(6):
        variant = "odd" if number % 2 else "even"
        recorder.record_experiment_assignment(run.run_id, f"{run.run_id}-{number}", "exp", variant, {})
    metrics = recorder.get_variant_metrics(run.run_id, "exp")
    # Rows 3 (not a number) and 4 (failed twice) went wrong.
    assert (metrics["even"]["success_count"], metrics["even"]["error_count"]) == (2, 1)
    assert (metrics["odd"]["success_count"], metrics["odd"]["error_count"]) == (2, 1)
