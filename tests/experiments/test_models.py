"""Two language models compared, on a loopback server."""

from typing import Any

import pytest

from elspeth.api.experiments import compare_experiment, experiment_flips
from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.cli.main import main
from elspeth.contracts.errors import RunInterruptedError
from elspeth.testing.llm import REFUSALS, Behaviour, LoopbackLLM

ASK = {
    "api_key": "none",
    "pool_size": 8,
    "prompt_template": "Is this spam? {{ row.text }}",
    "response_field": "label",
    "metadata_fields": False,
    "max_attempts": 1,
    "prices": {"large": {"input": 2.5, "output": 10}, "small": {"input": 0.15, "output": 0.6}},
}


def answer(body: Any) -> str:
    text = str(body["messages"][-1]["content"])
    if body["model"] == "small":
        return "spam" if "pills" in text else "ham"
    return "spam" if " now" in text or "win" in text else "ham"


@pytest.fixture
def asking(lab: Any) -> Any:
    with LoopbackLLM(Behaviour(latency_s=0.002, answer=answer, seed=1)) as server:
        lab.server = server
        options = {**ASK, "model": "large", "base_url": f"{server.url}/v1"}
        lab.pipeline["transforms"][0] = {"name": "classify", "plugin": "llm", "options": options}
        lab.experiment["variants"][1]["transform_overrides"] = {"model": "small"}
        lab.experiment["metrics"] += [
            {"name": "cost", "value": "usage.cost", "type": "ratio", "per": "rows", "goal": "decrease"},
            {"name": "calls", "value": "usage.calls"},
        ]
        yield lab


def test_pairs_cost_variants_times_rows_calls_and_each_variant_pays_its_own(asking: Any) -> None:
    asking.experiment["mode"] = "paired"
    asking.rows(50).run()
    assert asking.server.calls == 100
    found = compare_experiment("exp-1", asking.database).to_dict()
    large, small = found["variants"]
    assert (large["calls"], small["calls"]) == (50, 50)
    assert large["tokens_in"] == small["tokens_in"] > 0
    cost = (large["tokens_in"] * 2.5 + large["tokens_out"] * 10) / 1e6
    assert large["cost"] == pytest.approx(cost)
    assert small["cost_per_success"] == pytest.approx(small["cost"] / 50)
    assert large["latency_p95_ms"] > 0
    metrics = {one["metric"]: one for one in found["metrics"]}
    assert metrics["correct"]["control"] == 1
    assert metrics["correct"]["verdict"] == "worse"
    assert metrics["cost"]["verdict"] == "better"
    assert metrics["cost"]["effect"]["difference"] == pytest.approx((small["cost"] - large["cost"]) / 50)
    assert metrics["calls"]["cannot_tell"] == "the values do not vary, so chance has no measure"
    assert {flip.variant["label"] for flip in experiment_flips("exp-1", asking.database)} == {"spam", "ham"}
    assert len(asking.output()) == 50


def test_calls_that_fail_are_outcomes_of_their_variant(asking: Any) -> None:
    asking.server.behaviour = Behaviour(answer=answer, error_rate=0.3, faults=("500",), seed=3)
    result = asking.rows(80).run()
    found = compare_experiment("exp-1", asking.database).to_dict()
    failed = sum(one["failed"] for one in found["variants"])
    assert failed == result.sinks["quarantine"].rows > 0
    assert sum(one["rows"] for one in found["variants"]) == 80
    assert sum(one["failed_calls"] for one in found["variants"]) >= failed
    assert found["metrics"][0]["rows_without_value"] == failed


def test_refusals_are_shown_wherever_variants_are(
    asking: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    asking.experiment["mode"] = "paired"
    asking.rows(40)
    refuses = LoopbackLLM(Behaviour(error_rate=1, faults=("refusal",)))
    with refuses:
        asking.experiment["variants"][1]["transform_overrides"]["base_url"] = f"{refuses.url}/v1"
        asking.run()
    for words in (["compare", "exp-1"], ["status", "exp-1"]):
        assert main(["experiment", *words, "--database", asking.database]) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert "refused 0 40" in lines
        assert "refusal rate 0% [0%, 8.76%] 100% [91.2%, 100%]" in lines
    report = compare_experiment("exp-1", asking.database)
    assert "| refusal rate | 0% [0%, 8.76%] | 100% [91.2%, 100%] |" in report.to_markdown()
    assert '<td class="n">100% [91.2%, 100%]</td>' in report.to_html()


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_calls_under_way_when_a_run_stops_are_counted_once(asking: Any, mode: str) -> None:
    asking.experiment["mode"] = mode
    asking.experiment["metrics"].append({"name": "slow", "value": "usage.latency_ms"})
    asking.pipeline["checkpoint"] = {"checkpoint_interval": 20}
    asking.server.behaviour = Behaviour(
        latency_s=0.02, lognormal=0.5, answer=answer, error_rate=0.2, faults=REFUSALS, seed=5
    )
    answered = asking.server.calls + 60
    with pytest.raises(RunInterruptedError) as stopped:
        run(
            asking.rows(120, customers=50).path,
            database=asking.database,
            environ={},
            stop=lambda: asking.server.calls >= answered,
        )
    for _ in range(2):
        totals, rows = (
            compare_experiment("exp-1", asking.database, from_rows=from_rows).to_dict()
            for from_rows in (False, True)
        )
        assert (totals["figures_from"], rows["figures_from"]) == ("totals", "rows")
        for ours, theirs in zip(totals["variants"], rows["variants"], strict=True):
            assert (ours["rows"], ours["units"], ours["assigned_units"]) == (
                theirs["rows"], theirs["units"], theirs["assigned_units"]
            )  # fmt: skip
            assert ours["calls"] == theirs["calls"]
            assert ours["refused"] == theirs["refused"]
            assert ours["cost"] == pytest.approx(theirs["cost"])
            assert ours["latency_p95_ms"] == pytest.approx(theirs["latency_p95_ms"])
        for ours, theirs in zip(totals["metrics"], rows["metrics"], strict=True):
            assert (ours["control"], ours["variant"]) == pytest.approx((theirs["control"], theirs["variant"]))
        if rows["runs"][0]["status"] == "interrupted":
            resume(stopped.value.run_id, database=asking.database)
    assert sum(one["rows"] for one in rows["variants"]) == 120 * (2 if mode == "paired" else 1)
    assert sum(one["calls"] for one in rows["variants"]) == 120 * (2 if mode == "paired" else 1)
    assert all(one["refused"] for one in rows["variants"])
