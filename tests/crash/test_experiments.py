"""Experiments whose runs are killed: what is added up must be what the rows say, whenever that was."""

from collections.abc import Callable
from typing import Any

import pytest

from elspeth.api.experiments import compare_experiment
from elspeth.api.verify import verify

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
