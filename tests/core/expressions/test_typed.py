"""Expressions against the declared types of the fields that they read."""

import pytest

from elspeth.contracts.schema import FieldType
from elspeth.core.expressions import compile_expression, type_problem

TYPES = {
    "s": FieldType.STR,
    "i": FieldType.INT,
    "f": FieldType.FLOAT,
    "b": FieldType.BOOL,
    "d": FieldType.DECIMAL,
    "day": FieldType.DATE,
    "any": FieldType.ANY,
}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("row['s'] > 1000", "text can't be ordered against a number (1000 is a number)"),
        ("row['i'] < 'x'", "a number can't be ordered against text ('x' is text)"),
        ("lower(row['i']) == 'x'", "lower() is for text (row['i'] is a number)"),
        ("row['s'] + 1 == 2", "text and a number can't be combined (1 is a number)"),
        ("len(row['f']) > 1", "len() is for text and lists (row['f'] is a fractional number)"),
        ("row['b'] and row['s'] % 2 == 0", "this operator is for numbers only (row['s'] is text)"),
        ("row['d'] > row['s']", "a number can't be ordered against text (row['s'] is text)"),
    ],
)
def test_what_fails_on_every_row(text: str, what: str) -> None:
    problem = type_problem(compile_expression(text), TYPES)
    assert problem is not None
    assert problem.what == what
    assert type_problem(compile_expression(text), {}) is None


@pytest.mark.parametrize(
    "text",
    [
        "row['s'] == 1000",
        "row['i'] > 1.5 and row['d'] > 1 and row['b'] > 0",
        "row['day'] > row['any'] and row['other'] > 1",
        "row.get('s') > 1",
        "row['s'] in ('a', 'b') and 'x' in row['s']",
    ],
)
def test_what_may_be_right(text: str) -> None:
    expression = compile_expression(text)
    assert type_problem(expression, TYPES) is None
    assert type_problem(expression, TYPES) is None  # and the expression stays what it was
