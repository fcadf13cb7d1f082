"""Compiled expressions give what Python gives; the step-by-step walk gives the same."""

import ast
import warnings
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from elspeth.core.expressions import (
    EVALUATION_ERRORS,
    EvaluationError,
    ExpressionError,
    compile_expression,
)
from elspeth.core.expressions.interpret import StepFailed, interpret
from elspeth.core.expressions.language import LimitError

FIELDS = ("a", "b", "c")
LITERALS = [
    "0",
    "1",
    "-2",
    "3",
    "1.5",
    "'x'",
    "''",
    "'ab'",
    "True",
    "False",
    "None",
    "(1, 2)",
    "[1, 'x']",
    "{1, 2}",
]


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "and", "or", "==", "!=", "<", "<=", ">", ">=", "in", "not in"]
    )
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} < {t[1]} <= {t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        inner.map(lambda t: f"(not {t})"),
        inner.map(lambda t: f"(-{t})"),
        inner.map(lambda t: f"({t} is None)"),
        inner.map(lambda t: f"({t} ** 2)"),
        st.tuples(st.sampled_from(["len", "abs", "round"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(
            inner, st.sampled_from([".lower()", ".upper()", ".startswith('x')", "[0]", "[1:]", "['k']"])
        ).map("".join),
        st.tuples(inner, inner).map(lambda t: f"[{t[0]}, {t[1]}]"),
    )


EXPRESSIONS = st.recursive(
    st.one_of(
        st.sampled_from(LITERALS),
        st.sampled_from([f"row['{name}']" for name in FIELDS]),
        st.sampled_from([f"row.get('{name}', 1)" for name in FIELDS]),
    ),
    _grow,
    max_leaves=8,
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.text("xyAB%d", max_size=4),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.just("k"), st.integers(0, 3), max_size=1),
    st.decimals(-5, 5, places=1),
)
ROWS = st.dictionaries(st.sampled_from(FIELDS), VALUES)
TAME = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _outcome(fn: Any, *arguments: Any) -> Any:
    try:
        value = fn(*arguments)
    except EVALUATION_ERRORS as error:
        return type(error)
    except AttributeError:
        return TypeError  # Python's methods of what is not text
    return (type(value), value)


def _plain(text: str, row: dict[str, Any]) -> Any:
    space = {"__builtins__": {}, "len": len, "abs": abs, "round": round, "min": min, "max": max, "row": row}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # '"is" with a literal' and its like
        code = compile(ast.parse(text, mode="eval"), "plain", "eval")
    return eval(code, space)


@TAME
@given(text=EXPRESSIONS, row=ROWS)
@example(text="(row['a'] % 2)", row={"a": "%d"})
@example(text="(row['a'] * row['b'])", row={"a": Decimal(2), "b": 3})
def test_same_as_python(text: str, row: dict[str, Any]) -> None:
    try:
        expression = compile_expression(text)
    except ExpressionError:
        # Refused ahead of time: the whole text must be one that can fail in Python too.
        return
    ours = _outcome(expression.fn, row)
    theirs = _outcome(_plain, text, row)
    if ours in (LimitError, TypeError) and ours != theirs:
        # Stricter on purpose: text is never formatted, roots of negative numbers are not numbers,
        # methods of text are not those of bytes.
        assert "%" in text or "**" in text
        return
    assert ours == theirs


@TAME
@given(text=EXPRESSIONS, row=ROWS)
def test_the_step_by_step_walk_agrees_and_every_failure_is_explained(text: str, row: dict[str, Any]) -> None:
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return

    def walk(row: dict[str, Any]) -> Any:
        try:
            return interpret(expression.tree, {"row": row})
        except StepFailed as failed:
            raise failed.error from None

    expected = _outcome(expression.fn, row)
    assert _outcome(walk, row) == expected
    if isinstance(expected, type):
        with pytest.raises(EvaluationError, match=r"^expression "):
            expression.evaluate(row)


@TAME
@given(text=EXPRESSIONS, row=ROWS)
def test_required_fields_are_required_and_others_are_not_missed(text: str, row: dict[str, Any]) -> None:
    try:
        expression = compile_expression(text)
    except ExpressionError:
        return
    assert expression.required_fields <= expression.fields
    if expression.required_fields - row.keys():
        with pytest.raises(EvaluationError):
            expression.evaluate(row)


@settings(max_examples=300, deadline=None)
@given(text=st.text("row['x'].get()+-*/%<>=!andortinslf,:{}0123_\"\\ \n#@^&|~;", max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    _compile_or_refuse(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_any_unicode_compiles_or_is_refused(text: str) -> None:
    _compile_or_refuse(text)


def _compile_or_refuse(text: str) -> None:
    refusal = None
    try:
        compile_expression(text)
    except ExpressionError as error:
        refusal = error
    assert refusal is None or (0 <= refusal.offset <= len(text) and refusal.fix)
