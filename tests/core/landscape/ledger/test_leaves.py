"""Two records have the same leaf only if they are the same."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.core.landscape.ledger.growth import OWN_PATHS
from elspeth.core.landscape.ledger.index import IndexUnreadableError, Section, pack, unpack
from elspeth.core.landscape.ledger.leaves import content_hash, domain, encode, leaf, trace_leaf, trace_leaves
from elspeth.core.landscape.stepwise.tokens import FIRST_OWN_PATH

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUE = st.none() | INT64 | st.text() | st.binary() | st.floats(allow_nan=False)
VALUES = st.lists(VALUE, max_size=8)


def same(one: list[Any], other: list[Any]) -> bool:
    """Equal in type as well: 1 and 1.0, and 0.0 and -0.0, are different values."""
    return [(type(each), repr(each)) for each in one] == [(type(each), repr(each)) for each in other]


@given(VALUES, VALUES)
def test_different_values_have_different_encodings(one: list[Any], other: list[Any]) -> None:
    assert (encode(one) == encode(other)) == same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], ["1"]), ([1], [1.0]), (["a"], [b"a"]), ([None], []), ([None], [""]), (["ab", "c"], ["a", "bc"]),
        (["", None], [None, ""]), ([0.0], [-0.0]), ([1, 2], [12]), ([b"\x00"], [b"\x00\x00"]),
    ],
)  # fmt: skip
def test_values_that_look_alike(one: list[Any], other: list[Any]) -> None:
    assert encode(one) != encode(other)


def test_what_a_leaf_is() -> None:
    body = b"\x00\x00\x00\x03" + b"isn" + (7).to_bytes(8) + (2).to_bytes(8) + b"ab"
    assert encode([7, "ab", None]) == body
    assert leaf("edge", [7, "ab", None]) == sha256(b"\x00elspeth edge 1\n" + body).digest()
    assert domain("edge") != domain("node")


TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=40)
TRACE = st.tuples(
    INT64, INT64, INT64, INT64, st.none() | INT64, INT64, st.text(max_size=20), st.binary(max_size=96),
    TEXT, TEXT,
    st.none() | st.text(max_size=5), st.none() | st.text(max_size=5), TEXT,
)  # fmt: skip


@given(TRACE)
def test_the_quick_way_makes_the_same_leaf(row: tuple[Any, ...]) -> None:
    values = [*row[:8], content_hash(row[8], row[9]), *row[10:]]
    assert trace_leaf(row) == leaf("trace", values)


@given(st.lists(TRACE | st.tuples(*[VALUE] * 13), max_size=4))
def test_many_traces_have_the_leaves_of_each(rows: list[tuple[Any, ...]]) -> None:
    assert trace_leaves(rows) == [trace_leaf(row) for row in rows]


@given(TRACE, st.integers(0, 12), st.data())
def test_every_column_counts(row: tuple[Any, ...], column: int, data: st.DataObject) -> None:
    other = data.draw(VALUE.filter(lambda value: not same([value], [row[column]])))
    changed = (*row[:column], other, *row[column + 1 :])
    assert trace_leaf(changed) != trace_leaf(row)


@given(TEXT, TEXT, TEXT, TEXT)
def test_contents_are_told_apart(a: str | None, b: str | None, c: str | None, d: str | None) -> None:
    assert (content_hash(a, b) == content_hash(c, d)) == ((a, b) == (c, d))


def test_paths_of_one_token_begin_where_the_recorder_says() -> None:
    assert OWN_PATHS == FIRST_OWN_PATH


SECTIONS = [
    Section.of("trace", [(5, 0), (6, 0), (6, 1), (3, 2)]),
    Section.of("call", [("a-1",), ("b-2",)]),
    Section.of("run", [(1,)], [[1, "x", None]]),
]


def test_the_index_gives_back_what_was_put_in() -> None:
    found = unpack(pack(SECTIONS))
    assert [(each.kind, list(each.keys()), each.contents) for each in found] == [
        (each.kind, list(each.keys()), each.contents) for each in SECTIONS
    ]


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_an_index_that_is_not_whole_can_not_be_read(cut: int) -> None:
    with pytest.raises(IndexUnreadableError):
        unpack(pack(SECTIONS)[:cut])


def test_an_index_with_something_behind_it_can_not_be_read() -> None:
    with pytest.raises(IndexUnreadableError):
        unpack(pack(SECTIONS) + b"x")
