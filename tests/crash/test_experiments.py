"""Experiments whose runs are killed: what is added up must be what the rows say, whenever that was."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from elspeth.api.experiments import compare_experiment
from elspeth.api.verify import verify
from elspeth.core.landscape.database import LandscapeDB
from elspeth.testing.llm import Behaviour, LoopbackLLM

PIPELINE = """
source: {{plugin: csv, options: {{path: in.csv}}}}
transforms:
  - name: twice
    plugin: value_transform
    options: {{operations: [{{target: n, expression: "row['id'] * 2"}}]}}
experiment:
  experiment_id: killed
  name: Killed
  mode: {mode}
  unit: "row['id'] % 70"
  variants:
    - {{variant_id: one, weight: 50}}
    - variant_id: other
      weight: 50
      transform_overrides: {{operations: [{{target: n, expression: "100 / (row['id'] % 11)"}}]}}
  metrics:
    - {{name: n, value: "row['n']", primary: true}}
    - {{name: large, value: "row['n'] > 50", type: proportion}}
sinks:
  output: {{plugin: csv, options: {{path: out/rows.csv}}}}
"""
JUDGED = PIPELINE.format(mode="paired").replace(
    "  metrics:",
    """\
  judge:
    options: {model: judge, base_url: "SERVER/v1", criteria: The larger number is better., pool_size: 32}
  metrics:""",
)
POINTS = [("sinks.flushed", 5), ("commit.end", 4)]


def agree(url: str) -> dict[str, Any]:
    """Totals and rows; latencies are other ones in every run."""
    found = []
    for from_rows, way in ((False, "totals"), (True, "rows")):
        told = compare_experiment("killed", url, from_rows=from_rows).to_dict()
        assert told.pop("figures_from") == way
        found.append(told)
    totals, rows = found
    assert totals["variants"] == rows["variants"]
    for ours, theirs in zip(totals["metrics"], rows["metrics"], strict=True):
        assert ours["rows_without_value"] == theirs["rows_without_value"]
        assert numbers(ours["effect"]) == pytest.approx(numbers(theirs["effect"]), rel=1e-9)
    return totals


def numbers(effect: dict[str, Any] | None) -> dict[str, float]:
    return {name: value for name, value in (effect or {}).items() if isinstance(value, float)}


@pytest.mark.parametrize("mode", ["split", "paired"])
def test_killed_and_resumed_counts_nothing_twice(make_scene: Callable[..., Any], mode: str) -> None:
    scene = make_scene(PIPELINE.format(mode=mode))
    for point, count in POINTS:
        scene.start_over()
        assert scene.kill(point, count) != 0
        agree(scene.url)
        scene.kill_resume("sinks.flushed", 3)
        scene.resume()
        told = agree(scene.url)
        rows = sum(one["rows"] for one in told["variants"])
        assert rows == scene.outcome().outcomes["COMPLETED"] + sum(one["failed"] for one in told["variants"])
        assert verify(database=scene.url).ok


def larger(body: Any) -> str:
    """The answer whose number is larger, whichever stands first."""
    answers = str(body["messages"][-1]["content"]).split("Answer ")[1:3]
    first, second = (float(answer.split("'n': ")[1].split("}")[0]) for answer in answers)
    (name,) = body["response_format"]["json_schema"]["schema"]["properties"]
    return json.dumps({name: "tie" if first == second else "1" if first > second else "2"})


def calls_on_record(url: str) -> tuple[int, int]:
    """How many calls, and in how many states."""
    db = LandscapeDB.from_url(url, create=False)
    with db.engine.connect() as connection:
        (found,) = connection.exec_driver_sql("SELECT COUNT(*), COUNT(DISTINCT state_id) FROM calls")
    db.close()
    return found[0], found[1]


def test_a_judge_that_is_killed_goes_on_where_it_was(make_scene: Callable[..., Any]) -> None:
    with LoopbackLLM(Behaviour(latency_s=0.005, jitter=1, answer=larger, seed=2)) as server:
        scene = make_scene(JUDGED.replace("SERVER", server.url))
        scene.run()
        quiet, said = scene.outcome(), agree(scene.url)["judgements"][0]
        whole = said["wins"] + said["ties"] + said["losses"]
        assert (whole, said["unpaired"], said["failed"]) == (909, 91, 0)
        for point, count in [("commit.begin", 4), ("publish.begin", 1)]:
            scene.start_over()
            assert scene.kill(point, count) != 0
            agree(scene.url)
            if scene.kill_resume("commit.end", 2) != 0:
                scene.resume()
            assert scene.outcome() == quiet
            assert calls_on_record(scene.url) == (2 * whole, whole)
            found = agree(scene.url)["judgements"][0]
            assert {**found, "run_id": ""} == {**said, "run_id": ""}
            assert verify(database=scene.url).ok
