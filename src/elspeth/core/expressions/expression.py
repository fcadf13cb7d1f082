"""Expression: a condition or computation over the row, compiled once."""

import ast
import keyword
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elspeth.core.expressions import fields as reads
from elspeth.core.expressions.check import check
from elspeth.core.expressions.compiler import build, fold
from elspeth.core.expressions.failures import explain
from elspeth.core.expressions.interpret import EVALUATION_ERRORS
from elspeth.core.expressions.kinds import check_kinds, kind_text
from elspeth.core.expressions.labels import labels_of, unlabelled
from elspeth.core.expressions.language import FUNCTIONS
from elspeth.core.expressions.syntax import parse, segment


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    ``fn`` takes the values of ``names`` in their order and costs what a plain lambda costs. It
    raises one of `EVALUATION_ERRORS` where the data does not fit: pass that to `describe`, or call
    `evaluate`. It reads nothing but its arguments and changes nothing, so it may be called from
    several threads.

    ``fields`` are all fields of ``row`` that the text names; ``required_fields`` those without
    which it fails on every row (a field behind ``and``, ``or``, ``row.get`` or in one branch of a
    ternary is not required). Fields of other names than ``row`` are in neither.
    """

    text: str
    names: tuple[str, ...]
    fn: Callable[..., Any] = field(repr=False, compare=False)
    required_fields: frozenset[str] = field(compare=False)
    fields: frozenset[str] = field(compare=False)
    tree: ast.expr = field(repr=False, compare=False)

    def evaluate(self, *values: Any) -> Any:
        """The value for these arguments (the row first). Raises EvaluationError, which says why."""
        try:
            return self.fn(*values)
        except EVALUATION_ERRORS as error:
            raise explain(error, self, *values) from error

    def labels(self) -> frozenset[str] | None:
        """The route labels that the value can have, or None where the text does not show them."""
        return labels_of(self.tree)

    def never_label(self) -> str | None:
        """What is wrong with this as a gate's condition: the part whose value is never a label."""
        part = unlabelled(self.tree)
        return (
            None
            if part is None
            else f"{segment(self.text, part)} is {kind_text(part)}, which is never a route label"
        )


def compile_expression(text: str, *, names: tuple[str, ...] = ("row",)) -> Expression:
    """Compile ``text``, an expression over ``names``.

    Fields are read as ``row['x']`` and ``row.get('x', default)``. For names other than ``row``,
    ``usage.cost`` is short for ``usage['cost']``. What compiles fails at run time only because of
    the data. Raises ExpressionError, which says what, where (``offset``) and how to fix it.
    """
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name in FUNCTIONS:
            raise ValueError(f"{name!r} can't be a name in expressions")
    tree = parse(text)
    check(tree, text, names)
    folded = fold(tree, text, names)
    check_kinds(folded, text)
    return Expression(
        text=text,
        names=names,
        fn=build(folded, names),
        required_fields=reads.required(folded),
        fields=reads.mentioned(folded),
        tree=folded,
    )
