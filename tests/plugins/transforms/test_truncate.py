"""truncate: length, suffix, and what is left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.contracts.plugins import PluginContext
from elspeth.plugins.transforms.truncate import Truncate

CTX = PluginContext()


@pytest.mark.parametrize(
    ("text", "suffix", "cut"),
    [
        ("abcdef", "", "abcd"),
        ("abcdef", "...", "a..."),
        ("abcd", "...", "abcd"),
        ("äöüßé", "…", "äöü…"),
        ("", "...", ""),
    ],
)
def test_cut(text: str, suffix: str, cut: str) -> None:
    row = {"note": text, "n": 1}
    result = Truncate({"fields": {"note": 4}, "suffix": suffix}).process(row, CTX)
    assert result.row == {"note": cut, "n": 1}
    assert (result.row is row) == (text == cut)


@pytest.mark.parametrize("value", [None, 123456, 1.5, ["a", "b"], True])
def test_what_is_no_text_stays(value: Any) -> None:
    row = {"note": value}
    assert Truncate({"fields": {"note": 1}}).process(row, CTX).row is row


def test_missing_field() -> None:
    result = Truncate({"fields": {"note": 4}}).process({"nota": "x"}, CTX)
    assert result.reason == {
        "error": "field 'note' is missing; the row has 'nota'",
        "kind": "missing_field",
        "field": "note",
    }


def test_missing_field_when_not_strict() -> None:
    transform = Truncate({"fields": {"note": 4, "name": 2}, "strict": False})
    assert transform.process({"name": "long"}, CTX).row == {"name": "lo"}
    assert not transform.input_schema.demands


def test_demands() -> None:
    assert Truncate({"fields": {"note": 4}}).input_schema.demands == {"note"}


def test_suffix_longer_than_a_length() -> None:
    with pytest.raises(ValidationError) as caught:
        Truncate({"fields": {"a": 10, "b": 2}, "suffix": "..."})
    assert [error["msg"] for error in caught.value.errors()] == [
        "the suffix has 3 characters, field 'b' may only have 2"
    ]


@pytest.mark.parametrize("fields", [{}, {"a": 0}, {"a": "x"}, ["a"]])
def test_bad_fields(fields: Any) -> None:
    with pytest.raises(ValidationError):
        Truncate({"fields": fields})


@given(st.text(), st.integers(3, 20), st.text(max_size=3))
def test_never_longer_than_asked(text: str, length: int, suffix: str) -> None:
    row = Truncate({"fields": {"a": length}, "suffix": suffix}).process({"a": text}, CTX).row
    assert row is not None
    assert len(row["a"]) <= length
    assert row["a"] == text or row["a"].endswith(suffix)
