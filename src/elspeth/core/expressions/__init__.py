"""Expressions: a safe subset of Python over the row, for gates, triggers, computed fields and units.

Syntax comes in (`syntax`), is held against a whitelist (`check`, `kinds`), and becomes a function
that can reach nothing but its arguments (`compiler`). `failures` explains what went wrong on a row.
"""

from elspeth.contracts.errors import ExpressionError
from elspeth.core.expressions.expression import Expression, compile_expression
from elspeth.core.expressions.failures import EvaluationError, describe
from elspeth.core.expressions.interpret import EVALUATION_ERRORS
from elspeth.core.expressions.labels import NoLabel, label_of
from elspeth.core.expressions.typed import type_problem

__all__ = [
    "EVALUATION_ERRORS",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "NoLabel",
    "compile_expression",
    "describe",
    "label_of",
    "type_problem",
]
