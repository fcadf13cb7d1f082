"""json_explode and line_explode: one row into several."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.contracts.plugins import PluginContext
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.plugins.transforms.json_explode import JsonExplode
from elspeth.plugins.transforms.line_explode import LineExplode

CTX = PluginContext()


def test_one_row_per_element() -> None:
    row = {"id": 1, "tags": ["a", {"b": 2}], "z": 0}
    result = JsonExplode({"array_field": "tags"}).process(row, CTX)
    assert result.row is None
    assert [list(out.items()) for out in result.rows or ()] == [
        [("id", 1), ("item", "a"), ("z", 0)],
        [("id", 1), ("item", {"b": 2}), ("z", 0)],
    ]


def test_output_may_keep_the_name() -> None:
    result = JsonExplode({"array_field": "x", "output_field": "x"}).process({"x": [1, 2]}, CTX)
    assert result.rows == [{"x": 1}, {"x": 2}]


def test_index() -> None:
    result = JsonExplode({"array_field": "x", "include_index": True}).process({"x": ["a", "b"]}, CTX)
    assert result.rows == [{"item": "a", "item_index": 0}, {"item": "b", "item_index": 1}]


def test_empty_list_gives_no_rows() -> None:
    result = JsonExplode({"array_field": "x"}).process({"x": []}, CTX)
    assert (result.status, result.rows) == ("success", [])


@pytest.mark.parametrize(
    ("value", "held"), [(None, "nothing (null)"), ("[1]", "text"), ({}, "an object"), (1, "a whole number")]
)
def test_no_list(value: Any, held: str) -> None:
    reason = JsonExplode({"array_field": "x"}).process({"x": value}, CTX).reason
    assert reason == {"error": f"field 'x' holds {held}, not a list", "kind": "wrong_type", "field": "x"}


@pytest.mark.parametrize("transform", [JsonExplode({"array_field": "x"}), LineExplode({"source_field": "x"})])
def test_missing_field(transform: Any) -> None:
    reason = transform.process({"y": 1}, CTX).reason
    assert reason["error"] == "field 'x' is missing; the row has 'y'"
    assert transform.input_schema.demands == {"x"}


@pytest.mark.parametrize("taken", ["item", "item_index"])
def test_name_that_is_taken(taken: str) -> None:
    transform = JsonExplode({"array_field": "x", "include_index": True})
    reason = transform.process({"x": [1], taken: 0}, CTX).reason
    assert reason is not None
    assert reason["error"] == f"field '{taken}' cannot be added: the row already has a field of that name"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb", ["a", "b"]),
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb\rc", ["a", "b", "c"]),
        ("a\n\nb\n\n", ["a", "", "b", ""]),
        ("", []),
        ("\n", [""]),
        ("a\x0cb\u2028c", ["a\x0cb\u2028c"]),
    ],
)
def test_lines(text: str, lines: list[str]) -> None:
    result = LineExplode({"source_field": "x"}).process({"x": text}, CTX)
    assert [out["line"] for out in result.rows or ()] == lines


def test_blank_lines_can_be_left_out_and_still_count() -> None:
    transform = LineExplode(
        {"source_field": "x", "output_field": "y", "skip_blank": True, "include_index": True}
    )
    assert transform.process({"x": "a\n \nb"}, CTX).rows == [
        {"y": "a", "y_index": 0},
        {"y": "b", "y_index": 2},
    ]


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n"), min_size=1)))
def test_lines_come_back(lines: list[str]) -> None:
    result = LineExplode({"source_field": "x"}).process({"x": "\n".join(lines)}, CTX)
    assert [out["line"] for out in result.rows or ()] == lines


def test_no_text() -> None:
    reason = LineExplode({"source_field": "x"}).process({"x": ["a"]}, CTX).reason
    assert reason is not None
    assert reason["error"] == "field 'x' holds a list, not text"


def test_promises() -> None:
    incoming = PluginSchema(
        fields=(FieldSpec("id", FieldType.INT), FieldSpec("x")), guaranteed=frozenset({"x", "y"})
    )
    out = LineExplode({"source_field": "x", "include_index": True}).output_schema(incoming)
    assert [str(spec) for spec in out.fields] == ["id: int", "line: str", "line_index: int"]
    assert out.promises == {"id", "y", "line", "line_index"}


@pytest.mark.parametrize("options", [{}, {"array_field": ""}, {"array_field": "x", "output": "y"}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonExplode(options)
