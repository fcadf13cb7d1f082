"""A run goes on in the pipeline in which it began, whatever somebody accepts."""

from collections.abc import Callable
from typing import Any

import pytest

from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.contracts.errors import RunInterruptedError, UsageError

OTHER = {"operations": [{"target": "label", "expression": "'ham'"}]}
JUDGE = {"options": {"model": "m", "base_url": "http://127.0.0.1:9/v1", "api_key": "a", "criteria": "c"}}
Change = Callable[[dict[str, Any]], Any]


def stopped(lab: Any) -> str:
    """A run with an experiment, interrupted in the middle; its id."""
    lab.pipeline["checkpoint"] = {"checkpoint_interval": 20}
    answers = iter([False])
    with pytest.raises(RunInterruptedError) as interrupted:
        run(lab.rows(60).path, database=lab.database, environ={}, stop=lambda: next(answers, True))
    return interrupted.value.run_id


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p["experiment"]["metrics"].append({"name": "x", "value": "1"}),
         "'exp-1' has changed: metrics"),
        (lambda p: p["experiment"]["variants"][0].update(weight=40)
         or p["experiment"]["variants"][1].update(weight=60), "'exp-1' has changed: variants"),
        (lambda p: p["experiment"]["variants"].append({"variant_id": "new", "weight": 0}),
         "node 'classify@new' is new"),
        (lambda p: p["experiment"].update(unit="row['id']"), "'exp-1' has changed: unit"),
        (lambda p: p["experiment"].update(mode="paired"), "node 'shadow:exp-1' is new"),
        (lambda p: p["experiment"].update(exposure=50), "node 'classify' is new"),
        (lambda p: p["experiment"].update(enabled=False), "node 'experiment:exp-1' is gone"),
        (lambda p: p["transforms"][0].update(options=OTHER), "'exp-1' has changed: options of 'classify'"),
        (lambda p: p["transforms"].append({"name": "more", "plugin": "passthrough"}), "node 'more' is new"),
        (lambda p: p["transforms"][0].update(on_error="discard"), "node 'discard' is new"),
    ],
)  # fmt: skip
def test_another_pipeline_is_refused(lab: Any, change: Change, why: str) -> None:
    lab.experiment["transform"] = "classify"
    run_id = stopped(lab)
    change(lab.pipeline)
    assert lab.path.exists()
    with pytest.raises(UsageError, match="can't go on in another pipeline than it began in") as refused:
        resume(run_id, database=lab.database, accept_changes=True)
    assert why in refused.value.what


def test_another_wiring_is_refused(lab: Any) -> None:
    del lab.pipeline["experiment"]
    lab.pipeline["sinks"]["other"] = {"plugin": "null", "options": {}}
    lab.pipeline["gates"] = [
        {"name": "gate", "condition": "row['size'] > 3", "routes": {"true": "out", "false": "other"}}
    ]
    run_id = stopped(lab)
    lab.pipeline["gates"][0]["routes"] = {"true": "other", "false": "out"}
    assert lab.path.exists()
    with pytest.raises(UsageError, match="its nodes are wired in another way"):
        resume(run_id, database=lab.database, accept_changes=True)


def test_a_judge_may_cost_more_but_not_judge_by_something_else(lab: Any) -> None:
    lab.experiment.update(mode="paired", judge=JUDGE, transform="classify")
    lab.experiment["judge"]["options"] = dict(JUDGE["options"], max_attempts=1, max_tokens=5)
    run_id = stopped(lab)
    options = lab.experiment["judge"]["options"]
    options["criteria"] = "something else"
    assert lab.path.exists()
    with pytest.raises(UsageError, match="'exp-1' has changed: judge"):
        resume(run_id, database=lab.database, accept_changes=True)
    options |= {"criteria": "c", "api_key": "another", "budget": {"max_tokens": 1_000_000}}
    lab.experiment["name"] = "A better name"
    assert lab.path.exists()
    assert resume(run_id, database=lab.database, accept_changes=True).status == "completed_with_failures"
