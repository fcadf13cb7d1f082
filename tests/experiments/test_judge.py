"""A judge that sees both answers, in both orders."""

import json
from typing import Any

import pytest
import yaml

from elspeth.api.experiments import compare_experiment, experiment_pairs
from elspeth.api.run import run
from elspeth.cli.main import main
from elspeth.contracts.errors import ConfigurationError, ElspethError, UsageError
from elspeth.plugins.llm.judge import judged
from elspeth.testing.llm import Behaviour, LoopbackLLM


@pytest.fixture
def pipeline(lab: Any, spam_judge: Any) -> Any:
    """A paired experiment, run; and the pipeline of a judge."""
    lab.experiment["mode"] = "paired"
    lab.rows(50).run()
    with LoopbackLLM(Behaviour(latency_s=0.001, answer=spam_judge, seed=1)) as server:
        options = {
            "model": "judge-1", "base_url": f"{server.url}/v1", "api_key": "none", "answer": "label",
            "criteria": "The right answer to whether the text is spam is better.", "metadata_fields": False,
        }  # fmt: skip
        lab.server = server
        lab.judge = {
            "source": {"plugin": "json", "options": {"path": str(lab.directory / "pairs.jsonl")}},
            "transforms": [{"name": "judge", "plugin": "llm_judge", "options": options}],
            "sinks": {"out": {"plugin": "json", "options": {"path": str(lab.directory / "judged.jsonl")}}},
        }
        yield lab


def judging(lab: Any) -> Any:
    path = lab.directory / "judge.yaml"
    path.write_text(yaml.safe_dump(lab.judge))
    return run(path, database=lab.database, environ={})


def test_both_orders_are_asked_and_the_comparison_says_who_won(pipeline: Any) -> None:
    out = pipeline.directory / "pairs.jsonl"
    assert main(["experiment", "pairs", "exp-1", "--out", str(out), "--database", pipeline.database]) == 0
    assert len(out.read_text().splitlines()) == 50
    result = judging(pipeline)
    assert result.sinks["out"].rows == 50
    assert pipeline.server.calls == 100
    rows = [json.loads(line) for line in (pipeline.directory / "judged.jsonl").read_text().splitlines()]
    for row in rows:
        control, variant = row["control"]["label"], row["variant"]["label"]
        if control != variant:
            assert row["judge_winner"] == ("variant" if variant == "spam" else "control")
            assert row["judge_flipped"] is False
        else:
            assert row["judge_winner"] == "tie"
            assert row["judge_flipped"] is (row["input"]["text"].split()[0] in ("meeting", "lunch"))
    report = compare_experiment("exp-1", pipeline.database)
    (found,) = report.to_dict()["judgements"]
    assert (found["judge"], found["run_id"], found["variant_id"]) == ("judge-1", result.run_id, "treatment")
    assert (found["wins"], found["ties"], found["losses"], found["failed"]) == (10, 30, 10, 0)
    assert (found["flipped"], found["flip_rate"], found["sign_test_p"]) == (10, 0.2, 1.0)
    assert any("20.0% of 50 judgements turned with the order" in note for note in report.notes())


def test_pairs_that_could_not_be_judged_are_counted(pipeline: Any) -> None:
    pairs = [pair.to_dict() for pair in experiment_pairs("exp-1", pipeline.database)]
    (pipeline.directory / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    pipeline.judge["transforms"][0]["options"].update(max_attempts=1)
    answer = pipeline.server.behaviour.answer
    pipeline.server.behaviour = Behaviour(answer=answer, error_rate=0.3, faults=("500",), seed=3)
    judging(pipeline)
    (found,) = compare_experiment("exp-1", pipeline.database).to_dict()["judgements"]
    assert found["failed"] > 0
    assert found["wins"] + found["ties"] + found["losses"] + found["failed"] == 50


def test_a_split_has_no_pairs(lab: Any) -> None:
    lab.rows(5).run()
    with pytest.raises(UsageError, match="splits rows, so no row has two results to judge"):
        next(experiment_pairs("exp-1", lab.database))


def test_a_prompt_of_ones_own(pipeline: Any) -> None:
    (pipeline.directory / "pairs.jsonl").write_text(
        json.dumps({"control": {"label": "a"}, "variant": {"label": "b"}})
    )
    options = pipeline.judge["transforms"][0]["options"]
    options["judge_prompt"] = "{{ lookup.criteria }} Answer 1: {{ first }} spam Answer 2: {{ second }}"
    judging(pipeline)
    options["prompt_template"] = "x"
    with pytest.raises(ConfigurationError, match="a judge asks in both orders"):
        judging(pipeline)


@pytest.mark.parametrize(
    ("said", "winner", "flipped"),
    [
        (("1", "2"), "control", False), (("2", "1"), "variant", False), (("tie", "tie"), "tie", False),
        (("1", "1"), "tie", True), (("2", "2"), "tie", True), (("tie", "1"), "tie", True),
    ],
)  # fmt: skip
def test_what_follows_from_two_orders(said: tuple[str, str], winner: str, flipped: bool) -> None:
    row = judged({"judge_control_first": said[0], "judge_variant_first": said[1]})
    assert (row["judge_winner"], row["judge_flipped"]) == (winner, flipped)


def test_a_judge_is_replayed_as_any_other_model_and_keeps_to_its_budget(pipeline: Any) -> None:
    pairs = [pair.to_dict() for pair in experiment_pairs("exp-1", pipeline.database)]
    (pipeline.directory / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    first = judging(pipeline)
    said = (pipeline.directory / "judged.jsonl").read_text()
    assert pipeline.server.calls == 100
    overrides = {"run_mode": "replay", "replay_from": first.run_id}
    run(pipeline.directory / "judge.yaml", database=pipeline.database, environ={}, overrides=overrides)
    assert pipeline.server.calls == 100
    assert (pipeline.directory / "judged.jsonl").read_text() == said
    pipeline.judge["transforms"][0]["options"].update(budget={"max_tokens": 600}, max_tokens=5, pool_size=2)
    with pytest.raises(ElspethError, match="the budget of 'judge' has no room for another call"):
        judging(pipeline)
    assert pipeline.server.calls < 200
