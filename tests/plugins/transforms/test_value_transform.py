"""value_transform: operations in order, errors of the row as a whole."""

from typing import Any

import pytest
from pydantic import ValidationError

from elspeth.contracts.plugins import PluginContext
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.plugins.transforms.value_transform import ValueTransform

CTX = PluginContext()


def computing(*operations: tuple[str, str]) -> ValueTransform:
    return ValueTransform({"operations": [{"target": to, "expression": text} for to, text in operations]})


def test_later_operations_see_earlier_results() -> None:
    transform = computing(("net", "row['price'] * row['count']"), ("gross", "row['net'] * 2"))
    row = {"price": 3, "count": 4}
    assert transform.process(row, CTX).row == {"price": 3, "count": 4, "net": 12, "gross": 24}
    assert row == {"price": 3, "count": 4}


def test_existing_field_keeps_its_place() -> None:
    out = computing(("a", "row['a'] + 1")).process({"a": 1, "b": 2}, CTX).row
    assert list((out or {}).items()) == [("a", 2), ("b", 2)]


def test_failure_is_of_the_whole_row() -> None:
    transform = computing(("ok", "1"), ("rate", "row['a'] / row['b']"))
    result = transform.process({"a": 1, "b": 0}, CTX)
    assert result.status == "error"
    assert result.row is None
    assert result.reason is not None
    assert result.reason["field"] == "rate"
    assert result.reason["expression"] == "row['a'] / row['b']"
    assert result.reason["error"].startswith("'rate' cannot be computed: ")


@pytest.mark.parametrize("row", [{}, {"a": None}, {"a": "x"}, {"a": [1]}])
def test_rows_that_do_not_fit_are_errors(row: dict[str, Any]) -> None:
    assert computing(("b", "row['a'] * 1.5")).process(row, CTX).status == "error"


def test_bad_expression_is_placed() -> None:
    with pytest.raises(ValidationError) as caught:
        computing(("a", "1"), ("b", "open('/etc/passwd')"))
    (error,) = caught.value.errors()
    assert error["loc"] == ("operations", 1, "expression")
    assert "open" in error["msg"]


@pytest.mark.parametrize("operations", [[], [{"target": "a"}], [{"target": "", "expression": "1"}], "a = 1"])
def test_bad_operations(operations: Any) -> None:
    with pytest.raises(ValidationError):
        ValueTransform({"operations": operations})


def test_demands_are_what_no_earlier_operation_makes() -> None:
    transform = computing(("a", "row['x']"), ("b", "row['a'] + row['y']"), ("y", "row['z']"))
    assert transform.input_schema.demands == {"x", "y", "z"}


def test_targets_are_promised() -> None:
    incoming = PluginSchema(fields=(FieldSpec("a", FieldType.INT), FieldSpec("b", FieldType.STR)))
    out = computing(("a", "1.5"), ("c", "2"), ("c", "3")).output_schema(incoming)
    assert [str(spec) for spec in out.fields] == ["a: any", "b: str", "c: any"]
