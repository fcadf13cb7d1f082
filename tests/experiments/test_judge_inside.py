"""A judge that is part of the experiment: no second pipeline, and the same figures."""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from elspeth.api.assemble import assemble
from elspeth.api.experiments import compare_experiment, experiment_flips, experiment_pairs
from elspeth.api.explain import explain
from elspeth.api.prove import prove
from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.api.verify import verify
from elspeth.cli.main import main
from elspeth.contracts.errors import ConfigurationError, RunInterruptedError
from elspeth.experiments import looking
from elspeth.testing.llm import Behaviour, LoopbackLLM

KEY = "sk-a-key-that-nobody-may-see"
FAILS = {"operations": [{"target": "label", "expression": "row['gold'] if 1 / (row['size'] - 3) else ''"}]}
PAIR_CALLS = "SELECT COUNT(*) FROM calls WHERE call_type = 'llm'"


@pytest.fixture
def judged(lab: Any, spam_judge: Any) -> Any:
    """A paired experiment with a judge, 50 rows."""
    lab.experiment["mode"] = "paired"
    lab.rows(50)
    with LoopbackLLM(Behaviour(latency_s=0.001, answer=spam_judge, seed=1)) as server:
        lab.server = server
        options = {
            "model": "judge-1", "base_url": f"{server.url}/v1", "api_key": KEY, "answer": "label",
            "criteria": "The right answer to whether the text is spam is better.", "max_attempts": 1,
        }  # fmt: skip
        lab.options = options
        lab.experiment["judge"] = {"plugin": "llm_judge", "options": options}
        yield lab


def told(lab: Any, monkeypatch: pytest.MonkeyPatch, runs: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What the comparison says of judges, the same by all ways to its figures."""
    found = [compare_experiment("exp-1", lab.database, runs=runs, from_rows=one) for one in (False, True)]
    monkeypatch.setattr(looking, "metrics_key", lambda _: "none")
    found.append(compare_experiment("exp-1", lab.database, runs=runs))
    monkeypatch.undo()
    totals, *others = [report.to_dict()["judgements"] for report in found]
    assert others == [totals, totals]
    return list(totals)


def tokens_of(story: Any) -> list[dict[str, Any]]:
    """The tokens of the only row, children after their parents."""
    found, ways = [], list(story["rows"][0]["tokens"])
    while ways:
        found.append(ways.pop())
        ways += found[-1]["children"]
    return list({one["token_id"]: one for one in found}.values())


def counts(one: dict[str, Any]) -> tuple[int, ...]:
    return tuple(one[name] for name in ("wins", "ties", "losses", "flipped", "failed", "unpaired"))


@pytest.mark.parametrize("url", ["sqlite", "postgresql"])
def test_every_pair_is_judged_in_both_orders_and_the_control_goes_on_as_before(
    judged: Any, url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url == "postgresql":
        judged.database = request.getfixturevalue("postgres_url")
    result = judged.run()
    assert judged.server.calls == 100
    assert result.status == "completed"
    with_judge = (judged.directory / "out.csv").read_bytes()
    page = compare_experiment("exp-1", judged.database).to_html()
    assert 'aria-label="10 wins, 30 ties, 10 losses"' in page
    assert '<td class="n">20.0% [11.2%, 33.0%]</td>' in page
    (found,) = told(judged, monkeypatch)
    assert (found["judge"], found["variant_id"], found["run_id"]) == ("judge-1", "treatment", result.run_id)
    assert counts(found) == (10, 30, 10, 10, 0, 0)
    assert (found["flip_rate"], found["sign_test_p"]) == (0.2, 1.0)
    assert verify(result.run_id, database=judged.database).ok
    del judged.experiment["judge"]
    judged.run()
    assert (judged.directory / "out.csv").read_bytes() == with_judge
    assert judged.server.calls == 100


def test_rows_that_lack_an_answer_are_not_judged_and_shown(
    judged: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    third = {"variant_id": "third", "weight": 25, "transform_overrides": FAILS}
    judged.experiment["variants"][1]["weight"] = 25
    judged.experiment["variants"].append(third)
    result = judged.run()
    assert judged.server.calls == 2 * (50 + 46)
    treatment, third = told(judged, monkeypatch)
    assert counts(treatment) == (10, 30, 10, 10, 0, 0)
    assert counts(third) == (10, 27, 9, 9, 0, 4)
    assert len(judged.output()) == 50
    assert main(["experiment", "status", "exp-1", "--database", judged.database]) == 0
    assert "of 4 rows an answer is missing" in " ".join(capsys.readouterr().out.split())
    tokens = tokens_of(explain(result.run_id, row="3", database=judged.database).to_dict())
    ends = Counter(token["outcome"] for token in tokens)
    assert ends == {"FORKED": 2, "COALESCED": 5, "COMPLETED": 2, "FAILED": 1, "ROUTED": 1}


def test_a_control_that_fails_leaves_nothing_to_judge(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.pipeline["transforms"][0]["options"] = FAILS
    judged.run()
    (found,) = told(judged, monkeypatch)
    assert (found["unpaired"], found["wins"] + found["ties"] + found["losses"]) == (4, 46)
    assert len(judged.output()) == 46


def test_a_judge_that_fails_is_told_of_and_loses_no_row(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = judged.server.behaviour.answer
    judged.server.behaviour = Behaviour(answer=answer, error_rate=0.3, faults=("500", "refusal"), seed=3)
    result = judged.run()
    (found,) = told(judged, monkeypatch)
    assert found["failed"] > 0
    assert sum(counts(found)) - found["flipped"] == 50
    assert result.status == "completed_with_failures"
    assert len(judged.output()) == 50


def test_what_is_around_the_experiment_stays_as_it_was(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row was forked before, and is joined and forked again behind the variants."""
    judged.experiment["transform"] = "classify"
    judged.pipeline["transforms"][0] |= {"input": "text", "on_success": "labelled"}
    judged.pipeline["transforms"].append(
        {"name": "count", "plugin": "value_transform", "input": "size", "on_success": "counted",
         "options": {"operations": [{"target": "twice", "expression": "row['size'] * 2"}]}}
    )  # fmt: skip
    judged.pipeline["gates"] = [
        {"name": "apart", "condition": "True", "routes": {"true": "fork"}, "fork_to": ["text", "size"]},
        {"name": "after", "input": "joined", "condition": "row['label'] == 'spam'",
         "routes": {"true": ["out", "spam"], "false": "out"}},
    ]  # fmt: skip
    judged.pipeline["coalesce"] = [
        {"name": "both", "branches": {"text": "labelled", "size": "counted"}, "on_success": "joined"}
    ]
    spam = {"plugin": "csv", "options": {"path": str(judged.directory / "spam.csv")}}
    judged.pipeline["sinks"]["spam"] = spam
    judged.run()
    assert judged.server.calls == 100
    files = [(judged.directory / name).read_bytes() for name in ("out.csv", "spam.csv")]
    assert counts(*told(judged, monkeypatch)) == (10, 30, 10, 10, 0, 0)
    del judged.experiment["judge"]
    judged.run()
    assert [(judged.directory / name).read_bytes() for name in ("out.csv", "spam.csv")] == files


def test_units_that_take_no_part_are_not_judged(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.experiment["exposure"] = 40
    judged.run()
    report = compare_experiment("exp-1", judged.database).to_dict()
    (found,) = told(judged, monkeypatch)
    assert found["wins"] + found["ties"] + found["losses"] == report["rows"]["assigned"]["control"] < 50
    assert len(judged.output()) == 50


def after(looks: int) -> Callable[[], bool]:
    """Stops a run at its so-many-th look whether it should."""
    answers = iter([False] * looks)
    return lambda: next(answers, True)


def test_stopped_and_resumed_nothing_is_judged_twice(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.pipeline["checkpoint"] = {"checkpoint_interval": 20}
    judged.rows(120)
    answer = judged.server.behaviour.answer
    judged.server.behaviour = Behaviour(latency_s=0.02, lognormal=0.5, answer=answer, seed=5)
    with pytest.raises(RunInterruptedError) as stopped:
        run(judged.path, database=judged.database, environ={}, stop=after(2))
    for _ in range(2):
        told(judged, monkeypatch)
        notes = compare_experiment("exp-1", judged.database).notes()
        assert any("a judge's p and its interval are for one look" in note for note in notes)
        with pytest.raises(RunInterruptedError):
            resume(stopped.value.run_id, database=judged.database, stop=after(2))
    resume(stopped.value.run_id, database=judged.database)
    (found,) = told(judged, monkeypatch)
    assert counts(found) == (24, 72, 24, 24, 0, 0)
    assert judged.query(PAIR_CALLS) == [(240,)]
    assert verify(stopped.value.run_id, database=judged.database).ok


def test_several_runs_of_one_judge_are_put_together_and_another_judge_stands_apart(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.run()
    judged.rows(20).run()
    (both,) = told(judged, monkeypatch, ("all",))
    assert counts(both) == (14, 42, 14, 14, 0, 0)
    judged.options["model"] = "judge-2"
    judged.run()
    assert [(one["judge"], one["wins"]) for one in told(judged, monkeypatch, ("all",))] == [
        ("judge-2", 4), ("judge-1", 14)
    ]  # fmt: skip


def test_the_rows_that_differ_show_whom_the_judge_prefers(
    judged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    judged.run()
    found = experiment_flips("exp-1", judged.database)
    assert Counter(flip.winner for flip in found) == {"variant": 10, "control": 10}
    assert all(flip.winner == ("variant" if flip.variant["label"] == "spam" else "control") for flip in found)
    assert main(["experiment", "flips", "exp-1", "--database", judged.database]) == 0
    text = capsys.readouterr().out
    assert "prefers treatment" in text
    assert "prefers the control" in text
    assert found[0].to_dict()["judge"] == found[0].winner


def test_a_replay_asks_nobody(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = judged.run()
    overrides = {"run_mode": "replay", "replay_from": first.run_id}
    run(judged.path, database=judged.database, environ={}, overrides=overrides)
    assert judged.server.calls == 100
    assert counts(*told(judged, monkeypatch)) == (10, 30, 10, 10, 0, 0)


def test_a_judgement_is_part_of_the_rows_story_and_of_its_proof(judged: Any) -> None:
    result = judged.run()
    tokens = tokens_of(explain(result.run_id, row="0", database=judged.database).to_dict())
    (token,) = [one for one in tokens if len(one["parents"]) == 3]
    step = next(one for one in token["steps"] if one["node_id"] == "judge:exp-1@treatment")
    assert step["changes"]["added"]["judge_winner"] == "variant"
    assert token["merge"]["branches"] == ["input", "control", "variant"]
    assert len(step["calls"]) == 2
    proof = judged.directory / "row0.proof"
    prove(result.run_id, row="0", out=str(proof), database=judged.database)
    assert main(["verify", str(proof)]) == 0
    records = [b64decode(line.split()[1]) for line in proof.read_text().splitlines() if "extra" in line]
    assert any(b"judge:exp-1@treatment" in record for record in records)


def test_a_judge_without_a_named_answer_sees_what_the_variants_made(judged: Any) -> None:
    del judged.options["answer"]
    judged.rows(1).run()
    prompts = [request["messages"][-1]["content"] for request in judged.server.requests]
    assert "The input:\n{'id': 0, 'customer': 'c0'," in prompts[0]
    assert "Answer 1:\n{'label': 'ham'}\n\nAnswer 2:\n{'label': 'spam'}" in prompts[0]


def test_a_second_pass_can_still_be_made(judged: Any) -> None:
    judged.run()
    assert len(list(experiment_pairs("exp-1", judged.database))) == 50


def test_keys_of_judges_are_not_on_record(judged: Any) -> None:
    judged.run()
    for table in ("nodes", "runs", "calls"):
        assert KEY not in str(judged.query(f"SELECT * FROM {table}"))


@pytest.mark.parametrize(
    ("judge", "mode", "why"),
    [
        ({}, "split", "a judge compares two answers to one row"),
        ({"plugin": "llm_juge"}, "paired", "'llm_juge'"),
        ({"plugin": "passthrough"}, "paired", "'passthrough' judges nothing"),
        ({"options": {"model": "m", "base_url": "http://x/v1"}}, "paired", "criteria"),
        (
            {"options": {"model": "m", "criteria": "x", "queries": {"a": {}}}},
            "paired",
            "a judge asks in both",
        ),
    ],
)
def test_what_can_not_judge_is_refused(lab: Any, judge: Any, mode: str, why: str) -> None:
    lab.experiment.update(mode=mode, judge=judge)
    with pytest.raises(ConfigurationError) as refused:
        lab.rows(2).run()
    (problem,) = refused.value.problems
    assert why in problem.what
    assert problem.location is not None


def test_of_a_variant_that_gives_several_rows_the_first_is_judged(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"source_field": "gold", "output_field": "label"}
    judged.pipeline["transforms"] = [{"name": "words", "plugin": "line_explode", "options": options}]
    judged.experiment["variants"][1]["transform_overrides"] = {"source_field": "text"}
    judged.experiment["metrics"] = []
    rows = (judged.directory / "in.csv").read_text().replace("lunch money", '"lunch\nmoney"')
    (judged.directory / "in.csv").write_text(rows)
    result = judged.run()
    (found,) = told(judged, monkeypatch)
    assert sum(counts(found)) - found["flipped"] == 50
    assert judged.server.calls == 100
    assert result.outcomes["FAILED"] == 10  # the second row each of what had two lines
    assert len(judged.output()) == 50


def test_max_workers_holds_for_variants_and_judges(judged: Any) -> None:
    judged.pipeline["concurrency"] = {"max_workers": 3}
    made = assemble(judged.path, database=judged.database, environ={}).assembly.transforms
    assert made["judge:exp-1@treatment"].pool_size == 3


def test_two_experiments_one_behind_the_other_have_a_judge_each(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = judged.pipeline.pop("experiment")
    judged.pipeline["transforms"].append(
        {"name": "size", "plugin": "value_transform",
         "options": {"operations": [{"target": "large", "expression": "row['size'] > 6"}]}}
    )  # fmt: skip
    smaller = {"operations": [{"target": "large", "expression": "row['size'] > 3"}]}
    second = {
        "experiment_id": "exp-2", "name": "Sizes", "transform": "size", "mode": "paired",
        "variants": [
            {"variant_id": "six", "weight": 50},
            {"variant_id": "three", "weight": 50, "transform_overrides": smaller},
        ],
        "judge": {"options": {**judged.options, "answer": "large"}},
    }  # fmt: skip
    judged.pipeline["experiments"] = [{**first, "transform": "classify"}, second]
    result = judged.run()
    assert result.status == "completed"
    assert judged.server.calls == 200
    assert counts(*told(judged, monkeypatch)) == (10, 30, 10, 10, 0, 0)
    (other,) = compare_experiment("exp-2", judged.database).to_dict()["judgements"]
    assert other["wins"] + other["ties"] + other["losses"] == 50
    assert len(judged.output()) == 50
    assert verify(result.run_id, database=judged.database).ok
