"""Every step's row is rebuilt exactly, and a record that was altered is not shown but named."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from elspeth.contracts.errors import LandscapeError
from elspeth.core.canonical import dump
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import Delta, Step
from elspeth.core.landscape.reader import LandscapeReader

RUN = "20261121T021530Z-abcdef"
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5), st.decimals(allow_nan=False, allow_infinity=False), st.dates(),
    st.binary(max_size=5), st.uuids(), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)  # fmt: skip
ROWS = st.dictionaries(st.sampled_from("abcdefg"), VALUES, max_size=5)


@pytest.fixture
def db() -> Iterator[LandscapeDB]:
    made = LandscapeDB.in_memory()
    yield made
    made.close()


def step_to(before: dict[str, Any], after: dict[str, Any]) -> Step:
    changed = tuple(name for name in after if name not in before or dump(before[name]) != dump(after[name]))
    return Step("change", delta=Delta(tuple(after), changed))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=5), number=st.integers(0, 10**9))
def test_any_sequence_of_rows_comes_back(
    db: LandscapeDB, recording: Any, rows: list[dict[str, Any]], number: int
) -> None:
    with db.engine.connect() as connection:
        made = connection.execute(text("SELECT count(*) FROM runs")).scalar_one()
    run = recording(db, f"run-{made}")
    pairs = list(pairwise(rows))
    run.token(number, 0, rows[0], [(step_to(before, after), after) for before, after in pairs])
    run.commit()
    (token,) = LandscapeReader(db).row_lineage(f"run-{made}", number).tokens
    assert dump(token.start_data) == dump(rows[0])
    assert [dump(state.output_data) for state in token.states] == [dump(row) for row in rows[1:]]
    for state in token.states:
        assert state.input_data is not None
        assert state.output_data is not None
        assert state.changes is not None
        touched = {**state.changes.added, **{name: new for name, (_, new) in state.changes.changed.items()}}
        kept = {n: v for n, v in state.input_data.items() if n not in state.changes.removed}
        assert {n: dump(v) for n, v in {**kept, **touched}.items()} == {
            n: dump(v) for n, v in state.output_data.items()
        }


TRACE = "row_no = 1 AND token_no = 0"
STEP = "node_id = 'tidy' AND status = 'completed'"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            f"UPDATE traces SET payload = replace(payload, '2000.00', '20.00') WHERE {TRACE}",
            "row 1, token 0, step 0 (tidy, attempt 1): the input has hash",
        ),
        (
            f"UPDATE traces SET deltas = replace(deltas, '\"ok\"', '\"no\"') WHERE {TRACE}",
            "row 1, token 0, step 0 (tidy, attempt 1): the output has hash",
        ),
        (f"UPDATE traces SET deltas = '[1]' WHERE {TRACE}", "1 values are recorded for 2 changed fields"),
        (f"UPDATE traces SET deltas = NULL WHERE {TRACE}", "0 values are recorded for 2 changed fields"),
        (
            f"UPDATE traces SET payload = '[1]' WHERE {TRACE}",
            "row 1, token 0: a stored row has 1 values for 4",
        ),
        (f"UPDATE traces SET payload = '[1' WHERE {TRACE}", "row 1, token 0: a stored value cannot be read"),
        (f"UPDATE traces SET hashes = x'00' WHERE {TRACE}", "row 1, token 0: its path asks for hash 0"),
        (f"UPDATE traces SET times = '[]' WHERE {TRACE}", "row 1, token 0: its path asks for time 0"),
        (f"UPDATE traces SET times = 'no' WHERE {TRACE}", "the times of row 1, token 0 can't be read"),
        (f"UPDATE traces SET path_no = 99 WHERE {TRACE}", "path 99 of run number 1 is not on record"),
        ("UPDATE traces SET parent_no = 2 WHERE row_no = 1 AND token_no = 1", "has token 2 as its parent"),
        (
            f'UPDATE path_steps SET delta = replace(delta, \'"fields":[\', \'"fields":["zz",\') WHERE {STEP}',
            "field 'zz' is neither in the input nor changed",
        ),
        (f"UPDATE path_steps SET delta = 'no' WHERE {STEP}", "a delta on path"),
        ("UPDATE path_events SET reason = 'no'", "a reason on path"),
        ("UPDATE paths SET shape = 'no' WHERE origin IS NULL", "a path's shape can't be read"),
    ],
)
def test_an_altered_record_is_named(
    db: LandscapeDB, record_orders: Callable[..., Any], change: str, complaint: str
) -> None:
    record_orders(db, RUN)
    reader = LandscapeReader(db)
    assert reader.row_lineage(RUN, 2).source_data
    with db.engine.begin() as connection:
        connection.execute(text(change.replace(":", r"\:")))
    with pytest.raises(LandscapeError) as caught:
        LandscapeReader(db).row_lineage(RUN, 1)
    assert complaint in str(caught.value)


def test_a_purged_payload_leaves_the_hashes(db: LandscapeDB, record_orders: Callable[..., Any]) -> None:
    record_orders(db, RUN)
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE traces SET payload = NULL, deltas = NULL WHERE row_no = 1"))
    row = LandscapeReader(db).row_lineage(RUN, 1)
    assert row.source_data is None
    assert len(row.source_data_hash) == 64
    for state in (state for token in row.tokens for state in token.states):
        assert (state.input_data, state.output_data, state.changes) == (None, None, None)
        assert len(state.input_hash) == len(state.output_hash or "") == 64
    assert LandscapeReader(db).find_rows(RUN, lambda row: True) == [0, 2, 3, 4, 5]
