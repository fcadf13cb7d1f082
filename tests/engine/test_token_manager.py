"""Tokens one at a time, in both kinds of database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from elspeth.contracts import TerminalState
from elspeth.contracts.errors import ElspethError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.schema import (
    runs_table,
    token_outcomes_table,
    token_parents_table,
    tokens_table,
)
from elspeth.engine.token_manager import TokenManager


def everything(db: LandscapeDB) -> list[tuple[object, ...]]:
    with db.engine.connect() as connection:
        return [
            tuple(row)
            for table in (tokens_table, token_parents_table, token_outcomes_table)
            for row in connection.execute(select(table).order_by(*table.columns))
        ]


def test_a_token_of_any_row_in_an_empty_landscape(landscape: LandscapeDB) -> None:
    made = TokenManager(landscape).create_token("row-1")
    assert (made.row_id, made.parent_token_id, made.branch_name) == ("row-1", None, None)
    assert made.created_at.tzinfo is UTC
    assert TokenManager(landscape).get_token(made.token_id) == made
    with landscape.engine.connect() as connection:
        assert connection.execute(select(runs_table.c.run_id, runs_table.c.run_mode)).all() == [
            ("standalone", "standalone")
        ]


def test_each_call_makes_another_token_of_the_row(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    made = [manager.create_token(row_id) for row_id in ("a", "b", "a")]
    assert len({token.token_id for token in made}) == 3
    assert [token.row_id for token in made] == ["a", "b", "a"]


def test_an_unknown_token_is_none(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    assert manager.get_token("nobody") is None
    with pytest.raises(ValueError, match="'nobody'"):
        manager.get_terminal_state("nobody")


def test_a_fork_makes_one_child_per_destination_in_order(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    parent = manager.create_token("row-1")
    children = manager.fork_token(parent.token_id, ["c", "a", "b"])
    assert [child.branch_name for child in children] == ["c", "a", "b"]
    assert {child.parent_token_id for child in children} == {parent.token_id}
    assert {child.row_id for child in children} == {"row-1"}
    (group,) = {child.fork_group_id for child in children}
    assert group
    assert manager.get_terminal_state(parent.token_id) is TerminalState.FORKED
    assert [manager.get_terminal_state(child.token_id) for child in children] == [None] * 3
    with landscape.engine.connect() as connection:
        stored = connection.execute(select(tokens_table).where(tokens_table.c.fork_group_id == group)).all()
        parents = connection.execute(select(token_parents_table)).all()
    assert {row.token_id for row in stored} == {child.token_id for child in children}
    assert sorted(parents) == sorted((child.token_id, parent.token_id, 0) for child in children)


def test_an_unknown_parent_is_named_and_nothing_is_recorded(landscape: LandscapeDB) -> None:
    with pytest.raises(ValueError, match="'token-404'") as caught:
        TokenManager(landscape).fork_token("token-404", ["a"])
    assert isinstance(caught.value, ElspethError)
    assert everything(landscape) == []


@pytest.mark.parametrize(
    ("destinations", "what"),
    [([], "there are none"), (["a", "b", "a"], "more than once: a"), (["a", ""], "needs a name")],
)
def test_destinations_must_make_sense(landscape: LandscapeDB, destinations: list[str], what: str) -> None:
    manager = TokenManager(landscape)
    parent = manager.create_token("row-1")
    before = everything(landscape)
    with pytest.raises(ValueError, match=what):
        manager.fork_token(parent.token_id, destinations)
    assert everything(landscape) == before


def test_a_token_ends_once(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    parent = manager.create_token("row-1")
    manager.fork_token(parent.token_id, ["a"])
    before = everything(landscape)
    with pytest.raises(ValueError, match="has ended"):
        manager.fork_token(parent.token_id, ["b"])
    with pytest.raises(ValueError, match="has ended"):
        manager.expand_token(parent.token_id, [{"x": 1}])
    with pytest.raises(ValueError, match="has ended"):
        manager.coalesce([parent.token_id])
    assert everything(landscape) == before


def test_tokens_are_joined_to_one(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    left, right = manager.fork_token(manager.create_token("row-1").token_id, ["left", "right"])
    joined = manager.coalesce([left.token_id, right.token_id], {"both": True})
    assert joined.join_group_id
    assert (joined.parent_token_id, joined.fork_group_id) == (left.token_id, None)
    assert manager.get_token(joined.token_id) == joined
    states = [manager.get_terminal_state(token.token_id) for token in (left, right, joined)]
    assert states == [TerminalState.COALESCED, TerminalState.COALESCED, None]
    with landscape.engine.connect() as connection:
        mine = token_parents_table.c.token_id == joined.token_id
        parents = connection.execute(select(token_parents_table).where(mine)).all()
    assert sorted(parents) == sorted(
        [(joined.token_id, left.token_id, 0), (joined.token_id, right.token_id, 1)]
    )


def test_tokens_of_two_rows_are_joined_in_the_row_of_the_first(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    first, second = manager.create_token("a"), manager.create_token("b")
    assert manager.coalesce([second.token_id, first.token_id]).row_id == "b"


def test_a_join_needs_different_tokens_that_are_there(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    token = manager.create_token("row-1")
    before = everything(landscape)
    for parents in ([], [token.token_id, token.token_id], [token.token_id, "nobody"]):
        with pytest.raises(ValueError, match=r"none|different|'nobody'"):
            manager.coalesce(parents)
    assert everything(landscape) == before


def test_one_row_becomes_several(landscape: LandscapeDB) -> None:
    manager = TokenManager(landscape)
    parent = manager.create_token("row-1")
    children = manager.expand_token(parent.token_id, [{"x": 1}, {"x": 2}])
    assert manager.get_terminal_state(parent.token_id) is TerminalState.EXPANDED
    assert [child.parent_token_id for child in children] == [parent.token_id] * 2
    assert len({child.fork_group_id for child in children}) == 1
    last = [manager.recorder.get_node_states(child.token_id) for child in children]
    assert last == [[], []]


@pytest.mark.parametrize("make", ["memory", "file"])
def test_threads_do_not_disturb_each_other(make: str, sqlite_url: str) -> None:
    db = LandscapeDB.in_memory() if make == "memory" else LandscapeDB.from_url(sqlite_url)
    manager, start = TokenManager(db), threading.Barrier(4)

    def work(number: int) -> list[str]:
        start.wait(60)
        made = []
        for turn in range(8):
            token = manager.create_token(f"row-{number}-{turn % 2}")
            made += [child.token_id for child in manager.fork_token(token.token_id, ["a", "b"])]
        return made

    with ThreadPoolExecutor(4) as pool:
        found = [token_id for made in pool.map(work, range(4)) for token_id in made]
    assert len(set(found)) == 4 * 8 * 2
    with db.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(tokens_table)).scalar() == 4 * 8 * 3
    db.close()


MOVES = st.lists(
    st.tuples(st.sampled_from(["create", "fork", "expand", "join", "sink", "discard"]), st.integers(0, 7)),
    max_size=14,
)


@given(moves=MOVES)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_each_token_ends_at_most_once(moves: list[tuple[str, int]]) -> None:
    db = LandscapeDB.in_memory()
    manager = TokenManager(db)
    known = [manager.create_token("row-0").token_id]
    parents: dict[str, list[str]] = {known[0]: []}
    ended: dict[str, TerminalState] = {}
    for move, number in moves:
        chosen = known[number % len(known)]
        other = known[(number * 3 + 1) % len(known)]
        if move == "create":
            made = [manager.create_token(f"row-{number % 2}")]
            consumed = []
        else:
            consumed = [chosen, other] if move == "join" else [chosen]
            try:
                made = play(manager, move, consumed, number)
            except ValueError:
                assert len(set(consumed)) < len(consumed) or not set(consumed).isdisjoint(ended)
                continue
        for token in made:
            known.append(token.token_id)
            parents[token.token_id] = consumed
        ended |= dict.fromkeys(consumed, ENDS[move]) if consumed else {}
    with db.engine.connect() as connection:
        outcomes = connection.execute(select(token_outcomes_table)).all()
        stored = connection.execute(
            select(token_parents_table).order_by(
                token_parents_table.c.token_id, token_parents_table.c.ordinal
            )
        ).all()
        rows = connection.execute(select(tokens_table)).all()
    assert {row.token_id: row.outcome for row in outcomes} == ended
    assert len(outcomes) == len(ended)
    found: dict[str, list[str]] = {name: [] for name in known}
    for row in stored:
        found[row.token_id].append(row.parent_token_id)
    assert found == parents
    assert {row.token_id for row in rows} == set(known)
    for row in rows:
        token = manager.get_token(row.token_id)
        assert token is not None
        assert (token.row_id, token.fork_group_id, token.join_group_id) == (
            row.row_id, row.fork_group_id, row.join_group_id)  # fmt: skip
        assert (token.branch_name, token.created_at) == (row.branch_name, row.created_at)
        assert manager.get_terminal_state(row.token_id) == ended.get(row.token_id)
    db.close()


ENDS = {
    "fork": TerminalState.FORKED,
    "expand": TerminalState.EXPANDED,
    "join": TerminalState.COALESCED,
    "sink": TerminalState.COMPLETED,
    "discard": TerminalState.DISCARDED,
}


def play(manager: TokenManager, move: str, tokens: list[str], number: int) -> list:  # type: ignore[type-arg]
    if move == "fork":
        return manager.fork_token(tokens[0], ["a", "b", "c"][: 1 + number % 3])
    if move == "expand":
        return manager.expand_token(tokens[0], [{"n": n} for n in range(number % 3)])
    if move == "join":
        return [manager.coalesce(tokens)]
    if move == "sink":
        manager.recorder.record_arrival(tokens[0], "out")
    else:
        manager.recorder.record_discard(tokens[0])
    return []
