"""Batches as single records: members, results, and what is refused."""

from typing import Any

import pytest
from sqlalchemy import select

from elspeth.contracts.enums import TerminalState
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.stepwise.states import StateStart
from elspeth.core.landscape.stepwise.tokens import RecordError


@pytest.fixture
def recorder(landscape: LandscapeDB) -> LandscapeRecorder:
    made = LandscapeRecorder(landscape)
    made.begin_run(RunStart("run", {}, "h"))
    return made


@pytest.fixture
def tokens(recorder: LandscapeRecorder) -> list[str]:
    rows = [recorder.create_row("run", "in", index, {"x": index}) for index in range(3)]
    return [recorder.create_token(row.row_id).token_id for row in rows]


def test_members_are_taken_up_and_results_are_made_of_all_of_them(
    recorder: LandscapeRecorder, tokens: list[str]
) -> None:
    for token in tokens:
        recorder.record_node_state(token, StateStart("sum"))
    batch = recorder.begin_batch("run", "sum", tokens, "timeout")
    first, second = recorder.complete_batch(batch, [{"sum": 3}, {"sum": 0}])
    assert {recorder.get_terminal_state(token) for token in tokens} == {TerminalState.CONSUMED_IN_BATCH}
    assert recorder.get_terminal_state(first.token_id) is None
    assert first.parent_token_id == tokens[0]
    assert first.join_group_id != second.join_group_id
    with recorder.db.engine.connect() as connection:
        parents = connection.execute(select(schema.token_parents_table)).all()
        members = connection.execute(select(schema.batch_members_table)).all()
    assert {(parent.token_id, parent.parent_token_id, parent.ordinal) for parent in parents} == {
        (made.token_id, token, place) for made in (first, second) for place, token in enumerate(tokens)
    }
    assert [tuple(member) for member in sorted(members, key=lambda member: member.ordinal)] == [
        (batch, token, place) for place, token in enumerate(tokens)
    ]
    (record,) = recorder.get_batches("run")
    assert (record["trigger_type"], record["status"], record["node_id"]) == ("timeout", "completed", "sum")


def test_a_result_counts_its_steps_on_from_the_longest_way(
    recorder: LandscapeRecorder, tokens: list[str]
) -> None:
    for index, token in enumerate(tokens):
        for number in range(index + 1):
            recorder.record_node_state(token, StateStart(f"step{number}"))
    (made,) = recorder.complete_batch(recorder.begin_batch("run", "sum", tokens), [{"n": 3}])
    assert recorder.record_node_state(made.token_id, StateStart("out")) == f"{made.token_id}-3.1"
    joined = recorder.join_tokens([made.token_id], {"n": 3})
    assert recorder.record_node_state(joined.token_id, StateStart("next")) == f"{joined.token_id}-4.1"


def test_members_that_are_passed_on_stay_what_they_are(
    recorder: LandscapeRecorder, tokens: list[str]
) -> None:
    recorder.pass_batch(recorder.begin_batch("run", "look", tokens))
    assert {recorder.get_terminal_state(token) for token in tokens} == {None}
    assert recorder.record_node_state(tokens[0], StateStart("look")) == f"{tokens[0]}-0.1"
    token = LandscapeReader(recorder.db).token_lineage(tokens[1])
    assert [place.role for place in token.batches] == ["in", "out"]
    assert token.parents == ()


def test_a_failed_batch_leaves_its_members_to_their_own_records(
    recorder: LandscapeRecorder, tokens: list[str]
) -> None:
    recorder.fail_batch(recorder.begin_batch("run", "sum", tokens))
    recorder.record_arrival(tokens[0], "errors")
    (batch,) = recorder.get_batches("run")
    assert batch["status"] == "failed"
    assert recorder.begin_batch("run", "sum", tokens[1:]) == "run-b1"


def test_how_a_row_was_joined_is_on_record(recorder: LandscapeRecorder) -> None:
    row = recorder.create_row("run", "in", 0, {"x": 1})
    left, right = recorder.fork_token(recorder.create_token(row.row_id).token_id, ["a", "b"])
    merge = {
        "coalesce": "j",
        "policy": "first",
        "merge": "union",
        "branches": ["a", "b"],
        "origins": {"x": "b"},
    }
    joined = recorder.join_tokens([left.token_id, right.token_id], {"x": 1}, merge=merge)
    told = LandscapeReader(recorder.db).token_lineage(joined.token_id)
    assert told.merge is not None
    assert (told.merge.coalesce, told.merge.branches, told.merge.origins) == ("j", ("a", "b"), {"x": "b"})


def refused(match: str) -> Any:
    return pytest.raises(RecordError, match=match)


def test_what_contradicts_the_record_is_refused_and_leaves_nothing(
    recorder: LandscapeRecorder, tokens: list[str]
) -> None:
    with refused("there is no run 'other'"):
        recorder.begin_batch("other", "sum", tokens)
    with refused("a batch needs the tokens that it takes, there are none"):
        recorder.begin_batch("run", "sum", [])
    with refused("a batch needs different tokens"):
        recorder.begin_batch("run", "sum", [tokens[0], tokens[0]])
    with refused("there is no token 'nobody'"):
        recorder.begin_batch("run", "sum", ["nobody"])
    with refused("a batch is completed by count, timeout, condition, end_of_source, not by 'whim'"):
        recorder.begin_batch("run", "sum", tokens, "whim")
    with refused("there is no batch 'run-b0'"):
        recorder.complete_batch("run-b0", [])
    recorder.record_discard(tokens[2])
    with refused("has ended"):
        recorder.begin_batch("run", "sum", tokens)
    assert recorder.get_batches("run") == []
    recorder.begin_run(RunStart("second", {}, "h"))
    with refused("is of run 'run', not 'second'"):
        recorder.begin_batch("second", "sum", tokens[:1])


def test_a_batch_ends_once(recorder: LandscapeRecorder, tokens: list[str]) -> None:
    batch = recorder.begin_batch("run", "sum", tokens)
    assert recorder.complete_batch(batch, []) == []
    for again in (recorder.pass_batch, recorder.fail_batch):
        with refused("has ended already \\(completed\\)"):
            again(batch)


def test_a_member_that_ended_meanwhile_keeps_the_batch_open(
    recorder: LandscapeRecorder, tokens: list[str]
) -> None:
    batch = recorder.begin_batch("run", "sum", tokens)
    recorder.record_discard(tokens[1])
    with refused("has ended"):
        recorder.complete_batch(batch, [{"x": 1}])
    assert recorder.get_terminal_state(tokens[0]) is None
    (record,) = recorder.get_batches("run")
    assert record["status"] == "running"
