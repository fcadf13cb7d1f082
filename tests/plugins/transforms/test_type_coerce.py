"""type_coerce: exactly or not at all."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.contracts.plugins import PluginContext
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.plugins.transforms.type_coerce import TypeCoerce

CTX = PluginContext()


def coerced(value: Any, to: str) -> TransformResult:
    return TypeCoerce({"conversions": {"x": to}}).process({"x": value}, CTX)


@pytest.mark.parametrize(
    ("value", "to", "new"),
    [
        ("12", "int", 12),
        (" -7 ", "int", -7),
        ("9007199254740993", "int", 9007199254740993),
        (12.0, "int", 12),
        (Decimal("12"), "int", 12),
        ("12.5", "float", 12.5),
        ("1e3", "float", 1000.0),
        (3, "float", 3.0),
        ("yes", "bool", True),
        ("False", "bool", False),
        ("0", "bool", False),
        (1, "bool", True),
        ("1.10", "decimal", Decimal("1.10")),
        (0.1, "decimal", Decimal("0.1")),
        ("2024-01-31", "date", date(2024, 1, 31)),
        ("2024-01-31T12:00:00Z", "datetime", datetime(2024, 1, 31, 12, tzinfo=UTC)),
        (12, "str", "12"),
        (True, "str", "true"),
        (Decimal("1.10"), "str", "1.10"),
        ("", "str", ""),
    ],
)
def test_conversion(value: Any, to: str, new: Any) -> None:
    row = coerced(value, to).row
    assert row is not None
    assert row["x"] == new
    assert type(row["x"]) is type(new)


@pytest.mark.parametrize(
    ("value", "to"),
    [
        ("12.0", "int"),
        ("1_000", "int"),
        ("twelve", "int"),
        (12.5, "int"),
        (True, "int"),
        (float("nan"), "int"),
        (Decimal("sNaN"), "int"),
        ("nan", "float"),
        ("1e999", "float"),
        (2**53 + 1, "float"),
        (True, "float"),
        ("perhaps", "bool"),
        (2, "bool"),
        ("1,5", "decimal"),
        ("Infinity", "decimal"),
        ("31.01.2024", "date"),
        ("2024-02-30", "date"),
        ("noon", "datetime"),
        (["a"], "str"),
        ({"a": 1}, "str"),
    ],
)
def test_refusal(value: Any, to: str) -> None:
    result = coerced(value, to)
    assert result.status == "error"
    assert result.reason is not None
    assert result.reason["error"].startswith(f"field 'x' cannot become {to}: ")
    assert (result.reason["kind"], result.reason["field"], result.reason["to"]) == (
        "not_convertible",
        "x",
        to,
    )


@pytest.mark.parametrize("value", [None, ""])
def test_empty(value: Any) -> None:
    reason = coerced(value, "int").reason
    assert reason is not None
    assert reason["error"] == "field 'x' cannot become int: it is empty"
    assert coerced(value, "int?").row == {"x": None}


def test_missing() -> None:
    reason = TypeCoerce({"conversions": {"y": "int"}}).process({"x": 1}, CTX).reason
    assert reason is not None
    assert reason["error"] == "field 'y' is missing; the row has 'x'"
    row = {"x": 1}
    assert TypeCoerce({"conversions": {"y": "int?"}}).process(row, CTX).row is row


def test_row_that_fits_is_handed_on() -> None:
    row = {"x": 1, "y": "text"}
    assert TypeCoerce({"conversions": {"x": "int", "y": "str"}}).process(row, CTX).row is row


def test_list_form() -> None:
    transform = TypeCoerce({"conversions": [{"field": "x", "to": "int"}, {"field": "a:b", "to": "str?"}]})
    assert transform.process({"x": "1", "a:b": 2}, CTX).row == {"x": 1, "a:b": "2"}


def test_first_failure_is_told() -> None:
    transform = TypeCoerce({"conversions": {"x": "int", "y": "int"}})
    reason = transform.process({"x": "1", "y": "no"}, CTX).reason
    assert reason is not None
    assert reason["field"] == "y"


@pytest.mark.parametrize(
    ("conversions", "message"),
    [
        ({"x": "integer"}, "unknown type 'integer': types are str, int, .*did you mean 'int'"),
        ([{"field": "x", "to": "any"}], "nothing can be converted to 'any'"),
        ([{"field": "x"}], "Field required"),
        ({}, "at least 1 item"),
        ("x: int", "valid list"),
    ],
)
def test_bad_conversions(conversions: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeCoerce({"conversions": conversions})


def test_schemas() -> None:
    transform = TypeCoerce({"conversions": {"x": "int", "y": "date?"}})
    assert transform.input_schema.demands == {"x"}
    incoming = PluginSchema(fields=(FieldSpec("x", FieldType.STR), FieldSpec("y"), FieldSpec("z")))
    out = transform.output_schema(incoming)
    assert [str(spec) for spec in out.fields] == ["x: int", "y: date?", "z: any"]
    assert out.promises == {"x", "y", "z"}


def test_declared_schema_adds_demands() -> None:
    transform = TypeCoerce(
        {"conversions": {"x": "int"}, "schema": {"mode": "flexible", "fields": ["a: str", "b: int?"]}}
    )
    assert transform.input_schema.demands == {"x", "a"}


@given(st.integers())
def test_whole_numbers_come_back(number: int) -> None:
    assert coerced(str(number), "int").row == {"x": number}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_come_back(number: Decimal) -> None:
    row = coerced(str(number), "decimal").row
    assert row is not None
    assert str(row["x"]) == str(number)


@pytest.mark.parametrize(
    ("conversions", "place"),
    [([{"field": "a", "to": "int"}, {"field": "b", "to": "x"}], (1, "to")), ({"a": "int", "b": "x"}, ("b",))],
)
def test_errors_know_their_place(conversions: Any, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeCoerce({"conversions": conversions})
    (error,) = caught.value.errors()
    assert (*error["loc"], *error["ctx"]["at"]) == ("conversions", *place)
