"""Joins: what arrives where, when, with which parents; what is lost, what is late."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from elspeth.contracts.plugins import Row
from elspeth.core.landscape import schema

SIMPLE = """
source: {plugin: json, options: {path: $in.jsonl}}
transforms:
  - name: double
    plugin: value_transform
    input: a
    on_success: a_done
    options: {operations: [{target: twice, expression: "row['x'] * 2"}]}
  - name: halve
    plugin: value_transform
    input: b
    on_success: b_done
    on_error: failed
    options: {operations: [{target: share, expression: "60 / row['x']"}]}
gates:
  - {name: split, condition: "row['x'] >= 0", routes: {"true": fork, "false": output}, fork_to: [a, b]}
coalesce:
  - {name: join, branches: {a: a_done, b: b_done}, on_success: output, on_error: lost MORE}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  failed: {plugin: json, options: {path: $failed.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
"""


def step(name: str, source: str, target: str, expression: str) -> str:
    """A transform that reads a connection, adds one field, and writes to ``…_done``."""
    operation = f'{{target: {target}, expression: "{expression}"}}'
    return (
        f"  - {{name: {name}, plugin: value_transform, input: {source}, on_success: {source}_done,"
        f" options: {{operations: [{operation}]}}}}"
    )


def simple(more: str = "") -> str:
    return SIMPLE.replace(" MORE", f", {more}" if more else "")


def test_branches_become_one_row_again(any_place: Any) -> None:
    result = any_place.run(simple(), [{"x": 3}, {"x": -1}, {"x": 4}])
    assert any_place.lines("output") == [
        {"x": 3, "twice": 6, "share": 20.0}, {"x": -1}, {"x": 4, "twice": 8, "share": 15.0}
    ]  # fmt: skip
    assert result.status == "completed"
    assert result.outcomes == {"FORKED": 2, "COALESCED": 4, "COMPLETED": 2, "ROUTED": 1}


def test_the_joined_token_has_all_parents_in_order(any_place: Any) -> None:
    any_place.run(simple(), [{"x": 3}])
    tokens = {token.token_id: token for token in any_place.read(schema.tokens_table)}
    (joined,) = [token for token in tokens.values() if token.join_group_id is not None]
    parents = [
        found for found in any_place.read(schema.token_parents_table) if found.token_id == joined.token_id
    ]
    parents.sort(key=lambda found: found.ordinal)
    assert [tokens[found.parent_token_id].branch_name for found in parents] == ["a", "b"]
    assert [found.ordinal for found in parents] == [0, 1]
    assert joined.row_id == tokens[parents[0].parent_token_id].row_id
    states = [state for state in any_place.read(schema.node_states_table) if state.node_id == "join"]
    assert [(state.status, state.input_hash == state.output_hash) for state in states] == [
        ("completed", True)
    ] * 2


def test_the_origin_of_every_field_is_on_record(place: Any) -> None:
    place.run(simple("union_collision_policy: first_wins"), [{"x": 3}])
    merge = place.token(0, origin="join").merge
    assert (merge.policy, merge.merge, merge.branches) == ("require_all", "union", ("a", "b"))
    assert merge.origins == {"x": "a", "twice": "a", "share": "b"}


def test_a_branch_that_failed_fails_the_others_at_once(place: Any) -> None:
    result = place.run(simple(), [{"x": 0}])
    assert place.lines("lost") == [{"x": 0, "twice": 0}]
    assert "branch 'b' of 'join' can't arrive any more (policy: require_all)" in place.errors(0)
    assert result.outcomes == {"FORKED": 1, "FAILED": 2}
    assert place.token(0, branch_name="a").errors[0].reason["missing"] == ["b"]


def test_it_makes_no_difference_which_branch_was_lost(place: Any) -> None:
    """The one that comes after the row was given up is no less lost than one that waited."""
    result = place.run(simple().replace("fork_to: [a, b]", "fork_to: [b, a]"), [{"x": 0}])
    assert place.lines("lost") == [{"x": 0, "twice": 0}]
    assert result.outcomes == {"FORKED": 1, "FAILED": 2}
    gone = "branch 'b' of 'join' can't arrive any more (policy: require_all)"
    assert place.errors(0)[1] == f"late: branch 'a' came to 'join' when {gone}"


@pytest.mark.parametrize(
    ("more", "row", "origins"),
    [
        ("policy: best_effort", {"x": 0, "twice": 0}, {"x": "a", "twice": "a"}),
        ("policy: first", {"x": 0, "twice": 0}, {"x": "a", "twice": "a"}),
        ("policy: quorum, quorum_count: 1", {"x": 0, "twice": 0}, {"x": "a", "twice": "a"}),
        ("policy: best_effort, merge: nested", {"a": {"x": 0, "twice": 0}}, {"a": "a"}),
        (
            "policy: best_effort, merge: select, select_branch: a",
            {"x": 0, "twice": 0},
            {"x": "a", "twice": "a"},
        ),
    ],
)
def test_policies_that_do_without_a_branch(place: Any, more: str, row: Row, origins: Row) -> None:
    place.run(simple(more), [{"x": 0}])
    assert place.lines("output") == [row]
    assert place.token(0, origin="join").merge.origins == origins


def test_a_branch_that_is_to_be_selected_must_be_there(place: Any) -> None:
    place.run(simple("policy: best_effort, merge: select, select_branch: b"), [{"x": 0}])
    assert place.lines("lost") == [{"x": 0, "twice": 0}]
    assert "branch 'b' is to be selected by 'join', and it was lost" in place.errors(0)


def test_different_values_may_be_refused(place: Any) -> None:
    pipeline = simple("union_collision_policy: fail").replace("target: share", "target: twice")
    result = place.run(pipeline, [{"x": 3}, {"x": 10}])
    assert [line["x"] for line in place.lines("lost")] == [3, 3, 10, 10]
    assert place.errors(0) == [
        "branches 'a' and 'b' give 'twice' different values (union_collision_policy of 'join' is fail)"
    ] * 2  # fmt: skip
    assert result.outcomes == {"FORKED": 2, "FAILED": 4}


def test_values_that_only_look_alike_are_different(place: Any) -> None:
    """1 is not true; 6 and 6.0 are the same number, and the first stays."""
    pipeline = simple("union_collision_policy: fail").replace("target: share", "target: twice")
    pipeline = pipeline.replace("60 / row['x']", "row['x'] * 2.0")
    place.run(pipeline, [{"x": 3}])
    assert place.lines("output") == [{"x": 3, "twice": 6}]
    pipeline = pipeline.replace("row['x'] * 2.0", "row['x'] > 0").replace("row['x'] * 2", "row['x']")
    (place.home / "output.jsonl").unlink()
    (place.home / "lost.jsonl").unlink()
    (place.home / "failed.jsonl").unlink()
    place.run(pipeline, [{"x": 1}])
    assert len(place.lines("lost")) == 2


def test_after_the_first_the_others_are_late_and_on_record(place: Any) -> None:
    result = place.run(simple("policy: first"), [{"x": 3}])
    assert place.lines("output") == [{"x": 3, "twice": 6}]
    late = place.token(0, branch_name="b")
    assert (late.outcome, late.errors[0].destination) == ("DISCARDED", "discard")
    assert late.errors[0].reason == {
        "branch": "b", "error": "late: branch 'b' came to 'join' when its row had been joined already"
    }  # fmt: skip
    assert late.states[-1].status == "late"
    assert result.outcomes == {"FORKED": 1, "COALESCED": 1, "COMPLETED": 1, "DISCARDED": 1}


NESTED = """
source: {plugin: json, options: {path: $in.jsonl}}
transforms:
STEPS
gates:
  - {name: outer, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b]}
  - name: inner
    input: a
    condition: "row['x'] < 9"
    routes: {"true": fork, "false": a_done}
    fork_to: [p, q]
queues: {a_done: {}}
coalesce:
  - {name: near, branches: {p: p_done, q: q_done}, on_success: a_done, on_error: lost}
  - {name: far, branches: {a: a_done, b: b_done}, on_success: output, on_error: lost}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
"""
NESTED = NESTED.replace(
    "STEPS",
    "\n".join(
        [step("one", "p", "p", "1"), step("two", "q", "q", "6 / row['x']"), step("three", "b", "b", "3")]
    ),
)


def test_a_fork_inside_a_branch_is_joined_inside_it(any_place: Any) -> None:
    result = any_place.run(NESTED, [{"x": 3}, {"x": 9}])
    assert any_place.lines("output") == [{"x": 3, "p": 1, "q": 2.0, "b": 3}, {"x": 9, "b": 3}]
    assert result.outcomes == {"FORKED": 3, "COALESCED": 6, "COMPLETED": 2}
    joined = [token for token in any_place.row(0).tokens if token.origin == "join"]
    assert sorted(token.merge.coalesce for token in joined) == ["far", "near"]


def test_what_the_inner_join_lost_is_lost_to_the_outer_one(place: Any) -> None:
    result = place.run(NESTED, [{"x": 0}])
    assert sorted(map(len, place.lines("lost"))) == [2, 2]
    assert "branch 'a' of 'far' can't arrive any more (policy: require_all)" in " ".join(place.errors(0))
    assert result.outcomes == {"FORKED": 2, "FAILED": 2, "QUARANTINED": 1}


CASCADE = """
source: {plugin: json, options: {path: $in.jsonl}}
transforms:
STEPS
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b, c]}
coalesce:
  - {name: near, branches: {a: a_done, b: b}, on_success: ab, on_error: lost, policy: NEAR}
  - {name: far, branches: [ab, c], on_success: output, on_error: lost, policy: FAR}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
"""
CASCADE = CASCADE.replace("STEPS", step("one", "a", "a", "6 / row['x']"))


@pytest.mark.parametrize(
    ("near", "far", "outcomes"),
    [
        ("require_all", "require_all", {"FAILED": 2}),
        ("best_effort", "require_all", {"COALESCED": 3, "COMPLETED": 1}),
        ("require_all", "best_effort", {"FAILED": 1, "COALESCED": 1, "COMPLETED": 1}),
        ("first", "first", {"COALESCED": 2, "COMPLETED": 1, "DISCARDED": 1}),
    ],
)
def test_one_fork_may_be_joined_in_two_steps(
    place: Any, near: str, far: str, outcomes: dict[str, int]
) -> None:
    result = place.run(CASCADE.replace("NEAR", near).replace("FAR", far), [{"x": 0}])
    assert result.outcomes == {"FORKED": 1, "QUARANTINED": 1, **outcomes}
    assert len(place.lines("output")) == outcomes.get("COMPLETED", 0)


def test_joined_in_two_steps_with_nothing_lost(place: Any) -> None:
    result = place.run(CASCADE.replace("NEAR", "require_all").replace("FAR", "require_all"), [{"x": 2}])
    assert place.lines("output") == [{"x": 2, "a": 3.0}]
    assert result.outcomes == {"FORKED": 1, "COALESCED": 4, "COMPLETED": 1}
    far = [token for token in place.row(0).tokens if token.merge and token.merge.coalesce == "far"]
    assert [len(token.parents) for token in far] == [2]


WAITING = """
source: {plugin: slow}
aggregations:
  - {name: hold, plugin: odd, input: b, on_success: b_done, output_mode: passthrough}
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b]}
coalesce:
  - {name: join, branches: {a: a, b: b_done}, on_success: output, on_error: lost, timeout_seconds: 0.05, MORE}
sinks:
  output: {plugin: json, options: {path: $output.jsonl}}
  lost: {plugin: json, options: {path: $lost.jsonl}}
"""
Slow = Callable[[Sequence[Row]], None]


def test_time_is_up_though_no_row_comes(
    place: Any, slow_rows: Slow, waited_in_vain: Callable[[], bool]
) -> None:
    slow_rows([{"x": 1}, {"x": 2}])
    result = place.run(WAITING.replace("MORE", "policy: best_effort"))
    assert not waited_in_vain()
    assert place.lines("output") == [{"x": 1}, {"x": 2}]
    late = place.token(0, branch_name="b")
    assert (late.outcome, late.states[-1].node_id, late.states[-1].status) == ("DISCARDED", "join", "late")
    assert result.outcomes == {"FORKED": 2, "COALESCED": 2, "COMPLETED": 2, "DISCARDED": 2}


@pytest.mark.parametrize("more", ["policy: require_all", "policy: quorum, quorum_count: 2"])
def test_time_is_up_and_too_few_are_there(
    place: Any, slow_rows: Slow, waited_in_vain: Callable[[], bool], more: str
) -> None:
    slow_rows([{"x": 1}])
    result = place.run(WAITING.replace("MORE", more))
    assert not waited_in_vain()
    policy = more.partition(",")[0]
    gone = f"branch 'b' of 'join' did not arrive within 0.05 s ({policy})"
    assert place.errors(0) == [gone, f"late: branch 'b' came to 'join' when {gone}"]
    assert place.lines("lost") == [{"x": 1}, {"x": 1, "n": 1, "at": 0}]
    assert result.outcomes == {"FORKED": 1, "FAILED": 2}


def test_without_a_time_out_the_end_of_the_source_brings_what_was_held(place: Any) -> None:
    pipeline = WAITING.replace("timeout_seconds: 0.05, MORE", "policy: require_all")
    pipeline = pipeline.replace("plugin: slow", "plugin: json, options: {path: $in.jsonl}")
    place.run(pipeline, [{"x": 1}, {"x": 2}])
    assert place.lines("output") == [{"x": 1, "n": 2, "at": 0}, {"x": 2, "n": 2, "at": 1}]


def test_rows_of_several_sources_are_joined_each_with_itself(place: Any) -> None:
    pipeline = simple().replace(
        "source: {plugin: json, options: {path: $in.jsonl}}",
        "sources: {one: {plugin: json, options: {path: $in.jsonl}},"
        " two: {plugin: json, options: {path: $more.jsonl}}}",
    )
    place.run(pipeline, [{"x": 1}, {"x": 2}], more=[{"x": 3}])
    assert [line["twice"] for line in place.lines("output")] == [2, 4, 6]


def test_nested_values_are_joined_and_rebuilt(place: Any) -> None:
    row = {"x": 2, "deep": {"list": [1, {"y": None}]}, "big": 2**70}
    place.run(simple("merge: nested"), [row])
    assert place.lines("output") == [{"a": {**row, "twice": 4}, "b": {**row, "share": 30.0}}]
    assert place.token(0, origin="join").start_data["a"]["deep"] == row["deep"]


def test_a_joined_row_may_be_forked_and_joined_again(place: Any) -> None:
    pipeline = simple().replace("on_success: output, on_error", "on_success: again, on_error")
    pipeline = pipeline.replace(
        "coalesce:",
        '  - {name: more, input: again, condition: "True", routes: {"true": fork, "false": discard},'
        " fork_to: [c, d]}\ncoalesce:\n  - {name: last, branches: [c, d], on_success: output}",
    )
    result = place.run(pipeline, [{"x": 3}])
    assert place.lines("output") == [{"x": 3, "twice": 6, "share": 20.0}]
    assert result.outcomes == {"FORKED": 2, "COALESCED": 4, "COMPLETED": 1}
