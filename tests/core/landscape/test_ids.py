"""Ids lead back to what is stored, and are the texts that the views compose."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from elspeth.core.landscape import ids
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.schema import node_states_table, routing_events_table, tokens_table

NUMBERS = st.integers(0, 10**18 - 1)


def test_a_run_id_sorts_by_time_and_names_no_path() -> None:
    early = datetime(2026, 11, 21, 2, 15, 30, tzinfo=UTC)
    made = [ids.new_run_id(lambda at=early + timedelta(seconds=s): at, Random(s)) for s in range(50)]
    assert made == sorted(made)
    assert made[0].startswith("20261121T021530Z-")
    assert len(set(made)) == 50
    assert not any(set(":/\\ .") & set(run_id) for run_id in made)


def test_a_run_id_is_in_utc() -> None:
    cairo = datetime(2026, 11, 21, 4, 15, 30, tzinfo=timezone(timedelta(hours=2)))
    assert ids.new_run_id(lambda: cairo, Random(1)).startswith("20261121T021530Z-")


@given(seed=st.integers(), row=NUMBERS, token=NUMBERS, step=NUMBERS, attempt=NUMBERS)
def test_ids_read_back(seed: int, row: int, token: int, step: int, attempt: int) -> None:
    run = ids.new_run_id(lambda: datetime(2026, 1, 1, tzinfo=UTC), Random(seed))
    token_id = ids.token_id(run, row, token)
    assert ids.parse_row_id(ids.row_id(run, row)) == ids.RowKey(run, row)
    assert ids.parse_token_id(token_id) == ids.TokenKey(run, row, token)
    assert ids.parse_state_id(ids.state_id(token_id, step, attempt)) == ids.StateKey(token_id, step, attempt)
    assert ids.parse_token_id(ids.row_id(run, row)) is None
    assert ids.parse_row_id(run) is None


@given(st.text())
def test_what_is_no_id_gives_none_and_what_is_one_was_made_here(text: str) -> None:
    row, token, state = ids.parse_row_id(text), ids.parse_token_id(text), ids.parse_state_id(text)
    assert row is None or ids.row_id(row.run_id, row.row_no) == text
    assert token is None or ids.token_id(token.run_id, token.row_no, token.token_no) == text
    assert state is None or ids.state_id(state.token_id, state.step_index, state.attempt) == text


@pytest.mark.parametrize(
    "text", ["", "-1", "run", "run-", "run-01", "run-+1", "run-१", "run-1.0", f"run-{'9' * 19}"]
)
def test_near_misses_are_no_row_ids(text: str) -> None:
    assert ids.parse_row_id(text) is None


@pytest.mark.parametrize("text", ["t-1", "t-1.", "t-.1", "-1.1", "t-1.1.1", "t-01.1"])
def test_near_misses_are_no_state_ids(text: str) -> None:
    assert ids.parse_state_id(text) is None


def test_the_views_compose_the_same_texts(landscape: LandscapeDB, record_orders: Callable[..., Any]) -> None:
    record_orders(landscape)
    with landscape.engine.connect() as connection:
        tokens = connection.execute(select(tokens_table)).all()
        states = connection.execute(select(node_states_table)).all()
        events = connection.execute(select(routing_events_table)).all()
    for token in tokens:
        key = ids.parse_token_id(token.token_id)
        assert key is not None
        assert token.row_id == ids.row_id(key.run_id, key.row_no)
    for state in states:
        assert state.state_id == ids.state_id(state.token_id, state.step_index, state.attempt)
    for event in events:
        assert event.routing_group_id == ids.routing_group_id(event.state_id)
        assert event.event_id == ids.event_id(event.state_id, event.ordinal)
    assert (len(tokens), bool(states), bool(events)) == (12, True, True)
