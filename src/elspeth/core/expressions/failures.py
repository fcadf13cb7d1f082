"""Why an expression failed on a row: the field, what it held, and what to do. Never the value."""

import ast
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from elspeth.contracts.errors import ElspethError
from elspeth.core.expressions.interpret import EVALUATION_ERRORS, StepFailed, interpret
from elspeth.core.expressions.labels import NoLabel, type_name
from elspeth.core.expressions.language import LimitError
from elspeth.core.expressions.syntax import segment

_SHOWN = 200
_DECIMAL_FIX = (
    "write whole numbers ('* 12 / 10' instead of '* 1.2'), "
    "or give the field type float in the source's schema"
)


class Readable(Protocol):
    """What is needed of an expression to say why it failed."""

    @property
    def text(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def tree(self) -> ast.expr: ...


class EvaluationError(ElspethError):
    """An expression failed on one row.

    ``reason`` is the whole text in one line, for the record and the error sink; ``expression`` the
    expression's text; ``field`` the field at fault, if it was one.
    """

    def __init__(self, reason: str, *, expression: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expression = expression
        self.field = field


def describe(error: Exception, expression: Readable, *values: Any) -> str:
    """One line that says why ``expression`` failed with ``error`` on these values (the row first).

    Types are named, values never: they may be secret. Costs about a hundred evaluations.
    """
    return explain(error, expression, *values).reason


def explain(error: Exception, expression: Readable, *values: Any) -> EvaluationError:
    """What `describe` says, as the EvaluationError to raise or record."""
    if isinstance(error, EvaluationError):
        return error
    text = expression.text
    field, why = None, ""
    if isinstance(error, NoLabel):
        why = f"{error}; write a comparison, or text in quotes"
    else:
        try:
            interpret(expression.tree, dict(zip(expression.names, values, strict=True)))
        except StepFailed as failed:
            field, why = _explain(failed, text, dict(zip(expression.names, values, strict=True)))
        except EVALUATION_ERRORS:
            why = ""
    why = why or f"it failed with {type(error).__name__}"
    return EvaluationError(f"expression {_shown(text)} failed: {why}", expression=text, field=field)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"


def _explain(failed: StepFailed, text: str, values: Mapping[str, Any]) -> tuple[str | None, str]:
    node, error = failed.node, failed.error
    field = next((name for part, _ in failed.operands if (name := _field(part))), None)
    if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(error, LookupError | TypeError):
        return _lookup(node, failed, text, values)
    where = segment(text, node)
    if isinstance(error, LimitError):
        return field, f"in {where}, {error}"
    if isinstance(error, ZeroDivisionError) or "DivisionByZero" in type(error).__name__:
        divisor = failed.operands[-1][0]
        zero = _field(divisor)
        subject = f"field {zero!r}" if zero else segment(text, divisor)
        return zero, f"in {where}, {subject} is 0; test it first: '{segment(text, divisor)} != 0 and …'"
    if isinstance(error, ArithmeticError):
        held = _held(failed, text)
        return field, f"in {where}, {held}: the result is too large or undefined ({type(error).__name__})"
    if isinstance(error, RecursionError):
        return field, f"in {where}, a value is nested too deeply"
    return _types(failed, field, where, text)


def _types(failed: StepFailed, field: str | None, where: str, text: str) -> tuple[str | None, str]:
    held = _held(failed, text)
    kinds = {type(value) for _, value in failed.operands}
    culprit = _culprit(failed) or field
    if type(None) in kinds:
        empty = segment(text, next(part for part, value in failed.operands if value is None))
        return culprit, f"in {where}, {held}; test it first: '{empty} is not None and …'"
    if float in kinds and any(issubclass(kind, Decimal) for kind in kinds):
        return culprit, f"in {where}, {held}; decimals and floats don't mix in arithmetic: {_DECIMAL_FIX}"
    if str in kinds and kinds & {int, float, bool, Decimal}:
        subject = f"field {culprit!r}" if culprit else "it"
        fix = f"give {subject} its type in the source's schema, or convert it with type_coerce"
        return culprit, f"in {where}, {held}, which don't go together; {fix}"
    return culprit, f"in {where}, {held}, which does not fit; check the field's type with 'elspeth validate'"


def _culprit(failed: StepFailed) -> str | None:
    """The field to blame: an empty one, else one that holds text, else the first."""
    named = [(name, value) for part, value in failed.operands if (name := _field(part))]
    for wanted in (type(None), str, object):
        for name, value in named:
            if isinstance(value, wanted):
                return name
    return None


def _held(failed: StepFailed, text: str) -> str:
    parts = []
    for part, value in failed.operands:
        if isinstance(part, ast.Name):
            continue
        name = _field(part)
        subject = f"field {name!r} holds" if name else f"{segment(text, part)} is"
        parts.append(f"{subject} {type_name(value)}")
    return " and ".join(dict.fromkeys(parts)) or "the values do not fit"


def _lookup(
    node: ast.Subscript | ast.Attribute, failed: StepFailed, text: str, values: Mapping[str, Any]
) -> tuple[str | None, str]:
    container_node, container = failed.operands[0]
    is_name = isinstance(container_node, ast.Name)
    where = segment(text, node)
    if isinstance(node, ast.Attribute):
        name: str | None = node.attr
    else:
        name = _constant(node.slice)
    if is_name and isinstance(container, Mapping):
        word = container_node.id if isinstance(container_node, ast.Name) else ""
        thing = "the row has no field" if word == "row" else f"{word} has no"
        label = (
            repr(name)
            if name is not None
            else f"of the name that {segment(text, failed.operands[1][0])} gives"
        )
        instead = f"{word}.get({name!r})" if name is not None else f"{word}.get(…)"
        return name, f"{thing} {label}; write {instead} if it may be missing"
    field = _field(container_node)
    subject = f"field {field!r}" if field else segment(text, container_node)
    if isinstance(failed.error, IndexError):
        return field, f"in {where}, {subject} is {type_name(container)} of {len(container)}: too short"
    if isinstance(failed.error, KeyError):
        return field, f"in {where}, {subject} has no such entry; test it first with 'in'"
    return field, f"in {where}, {subject} holds {type_name(container)}, which has no such part"


def _field(node: ast.expr) -> str | None:
    """The field that ``node`` reads, if it is one of ``row['x']``, ``row.get('x')``, ``usage.x``."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return _constant(node.slice)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        return _constant(node.args[0])
    return None


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
