"""Walking an expression step by step: slow, but it knows which step failed and on what.

Compiled expressions are used for rows; this is for constants at compile time, and for explaining
a failure after it happened. Both give the same values (a property test holds them together).
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from elspeth.core.expressions.language import FUNCTIONS, modulo, plus, power, times

EVALUATION_ERRORS: Final[tuple[type[Exception], ...]] = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
)
"""What `Expression.fn` may raise because of a row's data. Anything else is a bug."""

BINARY: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: plus,
    ast.Sub: operator.sub,
    ast.Mult: times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: modulo,
    ast.Pow: power,
}
COMPARE: Final[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_UNARY: Final[Mapping[type[ast.AST], Callable[[Any], Any]]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}


class StepFailed(Exception):
    """One step failed: ``node`` is the smallest failing part, ``operands`` its parts and their values."""

    def __init__(self, node: ast.expr, operands: list[tuple[ast.expr, Any]], error: Exception) -> None:
        super().__init__()
        self.node = node
        self.operands = operands
        self.error = error


def interpret(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a checked tree. Raises StepFailed, which holds one of `EVALUATION_ERRORS`."""
    return _STEPS[type(node)](node, values)


def _step(node: ast.expr, parts: list[ast.expr], values: Mapping[str, Any], work: Callable[..., Any]) -> Any:
    operands = [(part, interpret(part, values)) for part in parts]
    return _apply(node, operands, work)


def _apply(node: ast.expr, operands: list[tuple[ast.expr, Any]], work: Callable[..., Any]) -> Any:
    try:
        return work(*(value for _, value in operands))
    except EVALUATION_ERRORS as error:
        raise StepFailed(node, operands, error) from None


def _bool_op(node: ast.BoolOp, values: Mapping[str, Any]) -> Any:
    stop_at = isinstance(node.op, ast.Or)
    result: Any = None
    for part in node.values:
        result = interpret(part, values)
        if bool(result) is stop_at:
            break
    return result


def _compare(node: ast.Compare, values: Mapping[str, Any]) -> Any:
    left_node, left = node.left, interpret(node.left, values)
    result: Any = True
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = interpret(right_node, values)
        result = _apply(node, [(left_node, left), (right_node, right)], COMPARE[type(op)])
        if not result:
            break
        left_node, left = right_node, right
    return result


def _call(node: ast.Call, values: Mapping[str, Any]) -> Any:
    if isinstance(node.func, ast.Name):
        return _step(node, node.args, values, FUNCTIONS[node.func.id])
    assert isinstance(node.func, ast.Attribute)
    if node.func.attr == "get":
        return _step(node, [node.func.value, *node.args], values, lambda mapping, *rest: mapping.get(*rest))
    return _step(node, [node.func.value, *node.args], values, FUNCTIONS[node.func.attr])


def _slice(node: ast.Slice, values: Mapping[str, Any]) -> slice:
    return slice(
        *(None if part is None else interpret(part, values) for part in (node.lower, node.upper, node.step))
    )


def _dict(node: ast.Dict, values: Mapping[str, Any]) -> Any:
    parts = [part for pair in zip(node.keys, node.values, strict=True) for part in pair if part is not None]
    return _step(node, parts, values, lambda *flat: dict(zip(flat[::2], flat[1::2], strict=True)))


_STEPS: Final[dict[type[ast.AST], Callable[[Any, Mapping[str, Any]], Any]]] = {
    ast.Constant: lambda node, values: node.value,
    ast.Name: lambda node, values: values[node.id],
    ast.Attribute: lambda node, values: _step(node, [node.value], values, lambda mapping: mapping[node.attr]),
    ast.Subscript: lambda node, values: _step(node, [node.value, node.slice], values, operator.getitem),
    ast.Slice: _slice,
    ast.Call: _call,
    ast.Compare: _compare,
    ast.BinOp: lambda node, values: _step(node, [node.left, node.right], values, BINARY[type(node.op)]),
    ast.UnaryOp: lambda node, values: _step(node, [node.operand], values, _UNARY[type(node.op)]),
    ast.BoolOp: _bool_op,
    ast.IfExp: lambda node, values: interpret(
        node.body if interpret(node.test, values) else node.orelse, values
    ),
    ast.List: lambda node, values: [interpret(part, values) for part in node.elts],
    ast.Tuple: lambda node, values: tuple(interpret(part, values) for part in node.elts),
    ast.Set: lambda node, values: _step(node, node.elts, values, lambda *items: set(items)),
    ast.Dict: _dict,
}
