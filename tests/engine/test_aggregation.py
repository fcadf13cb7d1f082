"""Batches: when they are complete, what becomes of their rows, and that it is on record both ways."""

from collections import Counter
from collections.abc import Callable, Sequence
from threading import enumerate as enumerate_threads
from typing import Any

import pytest

from elspeth.contracts.errors import ConfigurationError, PluginError
from elspeth.contracts.plugins import Row
from elspeth.core.landscape import schema

STATS = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - name: stats
    plugin: batch_stats
    trigger: TRIGGER
    on_error: failed
    options: {value_field: x, group_by: g}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
"""
ODD = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: odd, plugin: odd, on_error: failed, trigger: {count: 2}, output_mode: MODE}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
"""
Slow = Callable[[Sequence[Row]], None]


def rows(*values: int) -> list[Row]:
    return [{"g": value % 2, "x": value} for value in values]


def batches(place: Any) -> list[tuple[str, str, int]]:
    """Trigger, status and members of each batch, in order."""
    members = Counter(member.batch_id for member in place.read(schema.batch_members_table))
    found = sorted(place.read(schema.batches_table), key=lambda batch: batch.batch_no)
    assert all(batch.created_at <= batch.completed_at for batch in found)
    return [(batch.trigger_type, batch.status, members[batch.batch_id]) for batch in found]


def test_a_batch_is_full_at_its_count_and_at_the_end(any_place: Any) -> None:
    result = any_place.run(STATS.replace("TRIGGER", "{count: 3}"), rows(1, 2, 3, 4))
    assert [(row["g"], row["sum"]) for row in any_place.lines("output")] == [(1, 4), (0, 2), (0, 4)]
    assert result.outcomes == {"CONSUMED_IN_BATCH": 4, "COMPLETED": 3}
    assert batches(any_place) == [("count", "completed", 3), ("end_of_source", "completed", 1)]


def test_without_a_trigger_all_rows_are_one_batch(place: Any) -> None:
    place.run(STATS.replace("    trigger: TRIGGER\n", ""), rows(*range(10)))
    assert batches(place) == [("end_of_source", "completed", 10)]


def test_no_rows_make_no_batch(place: Any) -> None:
    assert place.run(STATS.replace("TRIGGER", "{count: 3}")).status == "empty"
    assert batches(place) == []


def test_a_condition_completes_a_batch(place: Any) -> None:
    place.run(STATS.replace("TRIGGER", "{condition: \"row['batch_count'] >= 2\"}"), rows(1, 2, 3))
    assert batches(place) == [("condition", "completed", 2), ("end_of_source", "completed", 1)]


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        ("{timeout_seconds: 0.05}", "timeout"),
        ("{condition: \"row['batch_age_seconds'] > 0.05\"}", "condition"),
        ("{count: 9, timeout_seconds: 0.05}", "timeout"),
    ],
)
def test_time_is_up_though_no_row_comes(
    place: Any, slow_rows: Slow, waited_in_vain: Callable[[], bool], trigger: str, why: str
) -> None:
    slow_rows(rows(1, 3))
    pipeline = STATS.replace("source: {plugin: json, options: {path: $in.jsonl}}", "source: {plugin: slow}")
    place.run(pipeline.replace("TRIGGER", trigger))
    assert not waited_in_vain()
    assert batches(place) == [(why, "completed", 2)]


def test_members_and_results_are_told_both_ways(any_place: Any) -> None:
    any_place.run(STATS.replace("TRIGGER", "{count: 3}"), rows(1, 2, 3))
    members = [any_place.row(index).tokens[0] for index in range(3)]
    first, second = members[0].children
    for index, member in enumerate(members):
        (place,) = member.batches
        assert (place.role, place.ordinal, place.batch.node_id) == ("in", index, "stats")
        assert place.batch.members == tuple(token.token_id for token in members)
        assert place.batch.results == member.joined_into == (first.token_id, second.token_id)
        assert member.outcome == "CONSUMED_IN_BATCH"
    for index, made in enumerate((first, second)):
        (place,) = made.batches
        assert (place.role, place.ordinal, made.origin) == ("out", index, "batch")
        assert made.parents == tuple(token.token_id for token in members)
        assert (made.outcome, made.start_data["g"]) == ("COMPLETED", 1 - index)
    parents = sorted(
        (parent.token_id, parent.ordinal, parent.parent_token_id)
        for parent in any_place.read(schema.token_parents_table)
    )
    assert parents == [
        (made.token_id, index, member.token_id)
        for made in (first, second)
        for index, member in enumerate(members)
    ]


def test_a_row_that_cannot_be_summed_fails_its_batch_and_no_other(any_place: Any) -> None:
    bad = [*rows(1, 2), {"g": 0, "x": "many"}, *rows(4, 5)]
    result = any_place.run(STATS.replace("TRIGGER", "{count: 2}"), bad)
    assert batches(any_place) == [
        ("count", "completed", 2), ("count", "failed", 2), ("end_of_source", "completed", 1)
    ]  # fmt: skip
    assert any_place.lines("failed") == bad[2:4]
    assert result.outcomes == {"CONSUMED_IN_BATCH": 3, "COMPLETED": 3, "FAILED": 2}
    for index in (2, 3):
        (token,) = any_place.row(index).tokens
        assert token.errors[0].reason["token_id"] == any_place.row(2).tokens[0].token_id
        assert (
            token.errors[0].reason["error"].startswith("row 1 of the 2 in this batch: field 'x' holds text")
        )
        assert (token.batches[0].batch.status, token.batches[0].batch.results) == ("failed", ())
        assert (token.states[1].node_id, token.states[1].status) == ("stats", "failed")


def test_passed_on_rows_keep_their_tokens(any_place: Any) -> None:
    result = any_place.run(ODD.replace("MODE", "passthrough"), rows(1, 2, 3))
    assert [(row["x"], row["n"], row["at"]) for row in any_place.lines("output")] == [
        (1, 2, 0), (2, 2, 1), (3, 1, 0)
    ]  # fmt: skip
    assert result.outcomes == {"COMPLETED": 3}
    (token,) = any_place.row(1).tokens
    assert [place.role for place in token.batches] == ["in", "out"]
    assert token.states[1].changes.added == {"n": 2, "at": 1}
    assert token.batches[0].batch.members == token.batches[0].batch.results


@pytest.mark.parametrize(
    ("mode", "wish", "error"),
    [
        ("transform", "error", "not today"),
        ("passthrough", "error", "not today"),
        ("passthrough", "nothing", "the batch gave 0 rows, and 2 were expected"),
        ("transform", "nan", "field 'bad': nan has no JSON form"),
        ("passthrough", "nan", "field 'bad': nan has no JSON form"),
    ],
)
def test_no_row_of_a_failed_batch_is_without_an_end(place: Any, mode: str, wish: str, error: str) -> None:
    result = place.run(ODD.replace("MODE", mode), [{"wish": wish, "x": 1}, {"x": 2}, {"x": 3}])
    assert [row["x"] for row in place.lines("failed")] == [1, 2]
    assert result.outcomes["FAILED"] == 2
    assert [row["x"] for row in place.lines("output")] == [3]
    assert error in place.errors(1)[0]


def test_a_batch_may_give_nothing(place: Any) -> None:
    result = place.run(ODD.replace("MODE", "transform"), [{"wish": "nothing"}, {"x": 2}])
    assert result.outcomes == {"CONSUMED_IN_BATCH": 2}
    assert result.status == "completed"
    (token,) = place.row(0).tokens
    assert token.batches[0].batch.results == ()


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ("raise", "raised ZeroDivisionError: no reason"),
        ("in place", "changed row .* in place"),
        ("none", "returned NoneType, not a TransformResult"),
    ],
)
def test_a_bug_in_a_plugin_stops_the_run(place: Any, wish: str, what: str) -> None:
    with pytest.raises(PluginError, match=f"aggregation 'odd' {what} \\(2 rows, the first .*-0\\)"):
        place.run(ODD.replace("MODE", "transform"), [{"wish": wish, "x": 1}, {"x": 2}])


def test_nobody_reads_on_when_a_plugin_broke(place: Any) -> None:
    pipeline = ODD.replace("MODE", "transform").replace("{count: 2}", "{count: 2, timeout_seconds: 60}")
    with pytest.raises(PluginError):
        place.run(pipeline, [{"wish": "raise", "x": number} for number in range(5000)])
    assert [thread.name for thread in enumerate_threads() if thread.name == "elspeth-source"] == []


def test_a_wrong_number_of_results_fails_the_batch(place: Any) -> None:
    pipeline = STATS.replace("trigger: TRIGGER", "expected_output_count: 1")
    result = place.run(pipeline, rows(1, 2))
    assert place.errors(0) == ["the batch gave 2 rows, and 1 were expected"]
    assert result.outcomes == {"FAILED": 2}


TWO = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: pairs, plugin: batch_stats, trigger: {count: 2}, options: {value_field: x, compute_mean: false}}
  - {name: all, plugin: batch_top_k, options: {field: sum, k: 1}}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
"""


def test_batches_of_batches(any_place: Any) -> None:
    result = any_place.run(TWO, rows(1, 2, 3, 4, 5))
    assert [row["sum"] for row in any_place.lines("output")] == [7]
    assert result.outcomes == {"CONSUMED_IN_BATCH": 8, "COMPLETED": 1}
    assert [count for _, _, count in batches(any_place)] == [2, 2, 1, 3]
    best = any_place.token(0, outcome="COMPLETED")
    assert len(best.parents) == 3
    assert [any_place.row(int(parent.split("-")[-2])).row_index for parent in best.parents] == [0, 2, 4]


def test_rows_of_several_sources_share_a_batch(place: Any) -> None:
    pipeline = STATS.replace(
        "source: {plugin: json, options: {path: $in.jsonl}}",
        "sources: {one: {plugin: json, options: {path: $in.jsonl}},"
        " two: {plugin: json, options: {path: $more.jsonl}}}",
    )
    place.run(pipeline.replace("TRIGGER", "{count: 9}"), rows(1, 3), more=rows(5))
    assert [row["sum"] for row in place.lines("output")] == [9]
    assert batches(place) == [("end_of_source", "completed", 3)]


BRANCH = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: hold, plugin: odd, input: a, on_success: a_done, output_mode: MODE, trigger: {count: 2}}
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b]}
coalesce:
  - {name: join, branches: {a: a_done, b: b}, on_success: output}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
"""


def test_a_batch_inside_a_branch_that_is_joined(place: Any) -> None:
    result = place.run(BRANCH.replace("MODE", "passthrough"), rows(1, 2, 3))
    assert [(row["x"], row["n"]) for row in place.lines("output")] == [(1, 2), (2, 2), (3, 1)]
    assert result.outcomes == {"FORKED": 3, "COALESCED": 6, "COMPLETED": 3}


def test_a_batch_that_replaces_rows_cannot_be_part_of_a_branch(place: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place.run(BRANCH.replace("MODE", "transform"), rows(1))
    (problem,) = caught.value.problems
    assert "branch 'a' of coalesce 'join' comes out of aggregation 'hold'" in problem.what
    assert problem.fix == "write `output_mode: passthrough` at 'hold', or put it behind the coalesce"


def test_a_branch_that_may_end_in_a_batch_is_lost_there(place: Any) -> None:
    pipeline = """
source: {plugin: json, options: {path: $in.jsonl}}
aggregations:
  - {name: sums, plugin: batch_stats, input: a_odd, on_success: sums_out, options: {value_field: x}}
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b]}
  - {name: odd_one, input: a, condition: "row['g'] == 1", routes: {"true": a_odd, "false": a_done}}
coalesce:
  - {name: join, branches: {a: a_done, b: b}, on_success: output, on_error: failed}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
  sums_out: {plugin: json, options: {path: $sums.jsonl}}
"""
    result = place.run(pipeline, rows(1, 2, 3))
    assert place.lines("output") == rows(2)
    assert place.lines("failed") == rows(1, 3)
    assert [row["sum"] for row in place.lines("sums")] == [4]
    assert result.outcomes == {
        "FORKED": 3, "COALESCED": 2, "CONSUMED_IN_BATCH": 2, "FAILED": 2, "COMPLETED": 2
    }  # fmt: skip


def test_results_may_be_forked_and_joined(place: Any) -> None:
    pipeline = STATS.replace("TRIGGER", "{count: 2}").replace(
        "    on_error: failed\n", "    on_error: failed\n    on_success: made\n"
    ).replace(
        "sinks:",
        "gates:\n  - {name: split, input: made, condition: 'True', routes: {'true': fork, 'false': discard},"
        " fork_to: [a, b]}\ncoalesce:\n  - {name: join, branches: [a, b], on_success: output}\nsinks:",
    )  # fmt: skip
    result = place.run(pipeline, rows(1, 3))
    assert [row["sum"] for row in place.lines("output")] == [4]
    assert result.outcomes == {"CONSUMED_IN_BATCH": 2, "FORKED": 1, "COALESCED": 2, "COMPLETED": 1}
    joined = place.token(0, origin="join")
    assert joined.outcome == "COMPLETED"


def test_rows_of_many_shapes_share_a_batch(place: Any) -> None:
    given = [{"x": number, f"only_{number}": number} for number in range(300)]
    pipeline = ODD.replace("MODE", "transform").replace("{count: 2}", "{count: 300}")
    place.run(pipeline, given)
    assert len(place.lines("output")) == 300
    assert place.token(0, token_no=300).start_data == {"x": 299, "only_299": 299, "n": 300, "at": 299}
