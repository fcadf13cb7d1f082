"""Expressions in the options of transforms."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator

from elspeth.contracts.errors import ExpressionError
from elspeth.contracts.plugins import Row
from elspeth.contracts.schema import FieldSpec
from elspeth.core.config.models_base import broken_rule
from elspeth.core.expressions import Expression, compile_expression, describe


def _checked(text: str) -> str:
    try:
        compile_expression(text)
    except ExpressionError as error:
        raise broken_rule(error.what, fix=error.fix) from error
    return text


ExpressionText = Annotated[str, AfterValidator(_checked)]
"""An option that holds an expression: what is wrong with it is told at validation."""


class Formula:
    """``target = expression``: a field, and how its value comes about."""

    __slots__ = ("expression", "fn", "target")

    def __init__(self, target: str, text: str) -> None:
        self.target = target
        self.expression: Expression = compile_expression(text)
        self.fn: Callable[[Row], Any] = self.expression.fn

    def failure(self, error: Exception, row: Row) -> dict[str, Any]:
        """The reason for a row on which ``fn`` raised one of the expressions' EVALUATION_ERRORS."""
        return {
            "error": f"'{self.target}' cannot be computed: {describe(error, self.expression, row)}",
            "kind": "evaluation",
            "field": self.target,
            "expression": self.expression.text,
        }


def demanded(formulas: Iterable[Formula]) -> frozenset[str]:
    """The fields that a row must have for formulas which run in this order, each seeing the last's."""
    needed: set[str] = set()
    made: set[str] = set()
    for formula in formulas:
        needed |= formula.expression.required_fields - made
        made.add(formula.target)
    return frozenset(needed)


def targets(formulas: Iterable[Formula]) -> tuple[FieldSpec, ...]:
    """The fields that are set; what type an expression gives is not known."""
    return tuple(FieldSpec(name) for name in dict.fromkeys(formula.target for formula in formulas))
