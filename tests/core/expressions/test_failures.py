"""Why an expression failed on a row, in words."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from elspeth.core.expressions import (
    EVALUATION_ERRORS,
    EvaluationError,
    compile_expression,
    describe,
    label_of,
)

SECRET = "s3cr3t-value"

CASES: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("row['a'] > 1", {}, "a", "the row has no field 'a'; write row.get('a') if it may be missing"),
    (
        "row['a'] > 1",
        {"a": SECRET},
        "a",
        "in row['a'] > 1, field 'a' holds text (str) and 1 is a whole number (int), which don't go together; "
        "give field 'a' its type in the source's schema, or convert it with type_coerce",
    ),
    (
        "1 < row['a'] < row['b']",
        {"a": 2, "b": None},
        "b",
        "in 1 < row['a'] < row['b'], field 'a' holds a whole number (int) and field 'b' holds nothing "
        "(null); test it first: 'row['b'] is not None and …'",
    ),
    (
        "row['a'] * 1.2 > 3",
        {"a": Decimal("1.5")},
        "a",
        "in row['a'] * 1.2, field 'a' holds a value of type decimal and 1.2 is a number (float); decimals "
        "and floats don't mix in arithmetic: write whole numbers ('* 12 / 10' instead of '* 1.2'), or give "
        "the field type float in the source's schema",
    ),
    (
        "row['a'] / row['b'] > 2",
        {"a": 1, "b": 0},
        "b",
        "in row['a'] / row['b'], field 'b' is 0; test it first: ",
    ),
    ("row['a'] // 0.0", {"a": 1}, None, "in row['a'] // 0.0, 0.0 is 0; test it first: "),
    ("row['a'] / row['b']", {"a": Decimal(1), "b": Decimal(0)}, "b", "field 'b' is 0; test it first: "),
    ("row['a'][3]", {"a": [SECRET]}, "a", "in row['a'][3], field 'a' is a list of 1: too short"),
    (
        "row['a']['k']",
        {"a": {}},
        "a",
        "in row['a']['k'], field 'a' has no such entry; test it first with 'in'",
    ),
    (
        "row['a']['k']",
        {"a": 5},
        "a",
        "in row['a']['k'], field 'a' holds a whole number (int), which has no such part",
    ),
    ("{'x': 1}[row['a']]", {"a": SECRET}, None, "{'x': 1} has no such entry; test it first with 'in'"),
    (
        "row[row['a']]",
        {"a": SECRET},
        None,
        "the row has no field of the name that row['a'] gives; write row.get(…)",
    ),
    (
        "row['a'].lower()",
        {"a": 5},
        "a",
        "field 'a' holds a whole number (int), which does not fit; check the field's type",
    ),
    (
        "row['a'] * row['n']",
        {"a": "x", "n": 10**9},
        "a",
        "repeating this would give more than 1,000,000 elements",
    ),
    (
        "row['a'] + row['b']",
        {"a": "x", "b": 1},
        "a",
        "field 'a' holds text (str) and field 'b' holds a whole number",
    ),
    ("row['a'] > row['b']", {"a": dt.date(2020, 1, 1), "b": 5}, "a", "field 'a' holds a value of type date"),
    (
        "row['a'] in {1}",
        {"a": []},
        "a",
        "field 'a' holds a list and {1} is a value of type set, which does not fit",
    ),
    ("round(row['a'])", {"a": float("inf")}, "a", "the result is too large or undefined (OverflowError)"),
    ("round(row['a'])", {"a": float("nan")}, "a", "field 'a' holds a number (float), which does not fit"),
]


@pytest.mark.parametrize(("text", "row", "field", "why"), CASES)
def test_reason(text: str, row: dict[str, Any], field: str | None, why: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).evaluate(row)
    assert caught.value.reason.startswith(f"expression {text} failed: ")
    assert why in caught.value.reason
    assert SECRET not in caught.value.reason
    assert "\n" not in caught.value.reason
    assert caught.value.field == field
    assert caught.value.expression == text


@pytest.mark.parametrize(("text", "row", "field", "why"), CASES)
def test_raw_errors_are_the_listed_ones_and_can_be_described_later(
    text: str, row: dict[str, Any], field: str | None, why: str
) -> None:
    expression = compile_expression(text)
    with pytest.raises(EVALUATION_ERRORS) as caught:
        expression.fn(row)
    assert why in describe(caught.value, expression, row)


def test_a_value_that_is_no_label() -> None:
    expression = compile_expression("row['a'] and row['b']")
    with pytest.raises(EVALUATION_ERRORS) as caught:
        label_of(expression.fn({"a": None}))
    assert describe(caught.value, expression, {"a": None}) == (
        "expression row['a'] and row['b'] failed: the condition gave nothing (null); a route label is True, "
        "False, text or a whole number; write a comparison, or text in quotes"
    )


def test_other_names() -> None:
    expression = compile_expression("usage.cost > 1", names=("row", "usage"))
    with pytest.raises(EvaluationError, match=r"usage has no 'cost'; write usage.get\('cost'\)"):
        expression.evaluate({}, {})
    with pytest.raises(EvaluationError, match="field 'cost' holds text"):
        expression.evaluate({}, {"cost": "5"})


def test_long_expressions_are_cut_and_set_in_one_line() -> None:
    text = "row['a'] > 1 and\n" + " and ".join(f"row['f{i}'] > {i}" for i in range(40))
    with pytest.raises(EvaluationError) as caught:
        compile_expression(text).evaluate({"a": None})
    assert "…" in caught.value.reason
    assert len(caught.value.reason) < 500
    assert "\n" not in caught.value.reason


def test_deep_values_are_an_error_of_the_row() -> None:
    deep: list[Any] = []
    other: list[Any] = []
    for _ in range(100_000):
        deep, other = [deep], [other]
    expression = compile_expression("row['a'] == row['b']")
    with pytest.raises(EvaluationError, match="nested too deeply"):
        expression.evaluate({"a": deep, "b": other})
