"""Coalesces that would wait in vain are refused, with the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from elspeth import validate
from elspeth.contracts.errors import ConfigurationError

HEAD = "source: {plugin: json, options: {path: in.jsonl}}\n"
TAIL = "sinks:\n  out: {plugin: json, options: {path: o.jsonl}}\n"
FORK = "{'true': fork, 'false': discard}"
Problems = Callable[[str], list[tuple[str, str]]]


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problems:
    """What is wrong with a pipeline of these steps, each with its remedy."""
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text('{"x": 1}\n', encoding="utf-8")

    def check(steps: str) -> list[tuple[str, str]]:
        Path("p.yaml").write_text(HEAD + steps + TAIL, encoding="utf-8")
        try:
            validate("p.yaml")
        except ConfigurationError as error:
            return [(problem.what, problem.fix) for problem in error.problems]
        return []

    return check


def gate(name: str, routes: str, rest: str = "", condition: str = "True") -> str:
    return f'  - {{name: {name}, condition: "{condition}", routes: {routes}{rest}}}\n'


def test_one_fork_whose_branches_meet(problems: Problems) -> None:
    steps = "gates:\n" + gate("g", FORK, ", fork_to: [a, b]") + "coalesce:\n  - {name: j, branches: [a, b]}\n"
    assert problems(steps) == []


def test_a_gate_that_chooses_is_no_fork(problems: Problems) -> None:
    steps = "gates:\n" + gate("g", "{'true': a, 'false': b}", condition="row['x'] > 1")
    ((what, fix),) = problems(steps + "coalesce:\n  - {name: j, branches: [a, b]}\n")
    assert what == (
        "branches 'a' and 'b' of coalesce 'j': rows come from 'g' without a fork that has sent copies to the"
        " other branches, so there is nothing that they could be joined with"
    )
    assert fix == (
        "split the row first: a gate with a route to `fork`, and `fork_to` with the branches; to bring rows"
        " together that take one way or another, use a queue"
    )


def test_branches_of_two_forks_that_never_share_a_row(problems: Problems) -> None:
    steps = (
        "gates:\n"
        + gate("which", "{'true': one, 'false': two}", condition="row['x'] > 1")
        + gate("first", FORK, ", input: one, fork_to: [a, out]")
        + gate("second", FORK, ", input: two, fork_to: [b, out]")
        + "coalesce:\n  - {name: j, branches: [a, b]}\n"
    )
    ((what, fix),) = problems(steps)
    assert what.startswith(
        "branches 'a' and 'b' of coalesce 'j': rows come from 'first' and 'second' without"
    )
    assert fix.startswith("let 'first' copy the row to 'a' and 'b' (`fork_to`);")


def test_branches_of_a_fork_inside_a_fork_may_meet_those_of_the_outer_one(problems: Problems) -> None:
    steps = (
        "gates:\n"
        + gate("outer", FORK, ", fork_to: [a, rest]")
        + gate("inner", FORK, ", input: rest, fork_to: [b, c]")
        + "coalesce:\n  - {name: j, branches: [a, b, c]}\n"
    )
    assert problems(steps) == []


def test_a_fork_that_leads_to_too_few_branches(problems: Problems) -> None:
    steps = "gates:\n" + gate("g", "{'true': [a, b, c], 'false': [a, b]}", condition="row['x'] > 1")
    ((what, _),) = problems(steps + "coalesce:\n  - {name: j, branches: [a, b, c]}\n")
    assert what == (
        "coalesce 'j' needs 3 branches of a row, and one of the forks before it leads to 'a' and 'b' only,"
        " never to 'c'"
    )
    assert problems(steps + "coalesce:\n  - {name: j, branches: [a, b, c], policy: best_effort}\n") == []


@pytest.mark.parametrize(
    ("rest", "what", "fix"),
    [
        ("trigger: {}", "this trigger never fires: it has no count, no timeout_seconds and no condition",
         "write one of them, or take trigger out: the end of the source always completes a batch"),
        ("output_mode: passthrough, expected_output_count: 3",
         "expected_output_count has no meaning with output_mode: passthrough,"
         " which gives a row for each that came",
         "take it out"),
        ("trigger: {condition: \"row['batch_size'] > 3\"}",
         "a trigger knows the batch, not its rows: there is no field 'batch_size'",
         "use 'batch_count' or 'batch_age_seconds'"),
    ],
)  # fmt: skip
def test_aggregations_that_make_no_sense(problems: Problems, rest: str, what: str, fix: str) -> None:
    steps = f"aggregations:\n  - {{name: a, plugin: batch_top_k, options: {{field: x, k: 1}}, {rest}}}\n"
    assert problems(steps) == [(what, fix)]


def test_a_batch_plugin_among_transforms_and_the_other_way_round(problems: Problems) -> None:
    assert problems("aggregations:\n  - {name: a, plugin: passthrough}\n") == [
        ("'passthrough' handles rows", "write it under `transforms`")
    ]
    assert problems("transforms:\n  - {name: a, plugin: batch_replicate}\n") == [
        ("'batch_replicate' handles batches", "write it under `aggregations`")
    ]


def test_a_join_of_one_branch(problems: Problems) -> None:
    steps = "gates:\n" + gate("g", FORK, ", fork_to: [a, out]") + "coalesce:\n  - {name: j, branches: [a]}\n"
    assert problems(steps) == [
        ("a join needs two branches at least, and there is only 'a'",
         "name the other branches of the fork, or take the coalesce out")
    ]  # fmt: skip


def test_what_comes_of_a_batch_is_checked_against_what_follows(problems: Problems) -> None:
    steps = "aggregations:\n  - {name: s, plugin: batch_stats, on_success: made, options: {value_field: x}}\n"
    steps += "gates:\n" + gate("g", "{'true': out, 'false': discard}", ", input: made", "row['total'] > 1")
    ((what, _),) = problems(steps)
    assert what.startswith(
        "gate 'g' needs field 'total', and the rows of 's' never have it (they have: batch_size"
    )
