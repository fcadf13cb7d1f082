"""What waits in joins and batches survives every stop: however often a run stops, the same comes of it."""

from pathlib import Path
from typing import Any

import pytest

from elspeth import resume, run
from elspeth.contracts.errors import RunInterruptedError

BATCHED = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: hold, plugin: odd, input: b, on_success: b_done, output_mode: passthrough, trigger: {count: 3}}
  - {name: sums, plugin: batch_stats, input: joined, on_success: output, trigger: {count: 4},
     options: {value_field: x, group_by: g}}
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b, c]}
  - {name: choose, input: c, condition: "row['g'] == 0", routes: {"true": c_done, "false": side}}
coalesce:
  - {name: join, branches: {a: a, b: b_done, c: c_done}, on_success: joined, on_error: lost, policy: POLICY}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
  side: {plugin: json, options: {path: $side.jsonl}}
"""
NESTED = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: hold, plugin: odd, input: q, on_success: q_done, output_mode: passthrough, trigger: {count: 4}}
gates:
  - {name: outer, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [left, c, d]}
  - {name: inner, input: left, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [p, q]}
coalesce:
  - {name: near, branches: {p: p, q: q_done}, on_success: near_done, on_error: lost, merge: nested}
  - {name: middle, branches: [near_done, c], on_success: middle_done, on_error: lost, policy: POLICY}
  - {name: far, branches: [middle_done, d], on_success: output, on_error: lost, policy: POLICY}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
"""
ROWS = [{"id": number, "g": number % 2, "x": number * number} for number in range(7)]


def told(place: Any) -> list[Any]:
    """Every token of every row, without ids and times."""
    tokens = [token for index in range(len(ROWS)) for token in place.row(index).tokens]
    return [
        (token.token_no, token.outcome, token.branch_name, token.sink_name, token.merge,
         [(state.node_id, state.status, state.step_index, state.output_data) for state in token.states],
         [parent.split("-", 2)[2] for parent in token.parents],
         [(part.role, part.ordinal, part.batch.trigger_type, len(part.batch.results))
          for part in token.batches])
        for token in tokens
    ]  # fmt: skip


@pytest.mark.parametrize("policy", ["require_all", "best_effort", "first", "quorum"])
@pytest.mark.parametrize("pipeline", [BATCHED, NESTED], ids=["batched", "nested"])
def test_a_run_that_stops_after_each_row(make_place: Any, tmp_path: Path, pipeline: str, policy: str) -> None:
    text = pipeline.replace("POLICY", "quorum, quorum_count: 2" if policy == "quorum" else policy)
    places = []
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        places.append(make_place(tmp_path / name, f"sqlite:///{tmp_path / name}/landscape.db"))
    whole, parts = places
    whole.run(text, ROWS)
    (parts.home / "in.jsonl").write_text((whole.home / "in.jsonl").read_text("utf-8"), encoding="utf-8")
    stops = 0
    path, run_id = parts.write(text), None
    while parts.result is None:
        try:
            if run_id is None:
                parts.result = run(path, database=parts.url, stop=lambda: True)
            else:
                parts.result = resume(run_id, database=parts.url, stop=lambda: True)
        except RunInterruptedError as stopped:
            run_id, stops = stopped.run_id, stops + 1
            assert stops <= 2 * len(ROWS), "it makes no way"
    assert stops >= len(ROWS)
    parts.check()
    for sink in ("output", "lost"):
        assert parts.lines(sink) == whole.lines(sink)
    assert parts.result.outcomes == whole.result.outcomes
    assert told(parts) == told(whole)
