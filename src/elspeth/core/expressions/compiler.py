"""From a checked tree to a Python function.

Constants are computed here, once: what can never be computed is refused, so it can't fail later.
"""

import ast
import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from elspeth.contracts.errors import ExpressionError
from elspeth.core.expressions.interpret import StepFailed, interpret
from elspeth.core.expressions.kinds import NUMERIC, Kind, kind_of
from elspeth.core.expressions.language import FUNCTIONS, GUARDS, LimitError
from elspeth.core.expressions.syntax import offset_of, segment

_INLINE = (str, int, float, bool, type(None))
_MAX_INLINE_TEXT: Final = 10_000


def fold(tree: ast.expr, text: str, names: tuple[str, ...]) -> ast.expr:
    """Replace what does not depend on the row by its value. Raises ExpressionError if it has none."""
    folded: ast.expr = _Folder(text, names).visit(tree)
    return folded


def build(tree: ast.expr, names: tuple[str, ...]) -> Callable[..., Any]:
    """The function of ``names`` that computes ``tree``; it can reach nothing but its arguments."""
    body = _Guard().visit(copy.deepcopy(tree))
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(arg=name) for name in names], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    whole = ast.fix_missing_locations(ast.Expression(body=ast.Lambda(args=arguments, body=body)))
    space: dict[str, Any] = {"__builtins__": {}, **FUNCTIONS, **GUARDS}
    made: Callable[..., Any] = eval(compile(whole, "<expression>", "eval"), space)
    return made


class _Folder(ast.NodeTransformer):
    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = text
        self.names = frozenset(names)

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, ast.expr) or isinstance(node, ast.Constant | ast.Name | ast.Slice):
            return self.generic_visit(node)
        if any(isinstance(part, ast.Name) and part.id in self.names for part in ast.walk(node)):
            return self.generic_visit(node)
        value = self.value(node)
        if isinstance(value, _INLINE) and not (isinstance(value, str) and len(value) > _MAX_INLINE_TEXT):
            return ast.copy_location(ast.Constant(value=value), node)
        return self.generic_visit(node)

    def value(self, node: ast.expr) -> Any:
        constants: Mapping[str, Any] = {}
        try:
            return interpret(node, constants)
        except StepFailed as failed:
            why = str(failed.error) if isinstance(failed.error, LimitError | ZeroDivisionError) else ""
            why = why or "its parts don't fit together"
            raise ExpressionError(
                f"{segment(self.text, failed.node)} can never be computed: {why}",
                fix="correct this part",
                expression=self.text,
                offset=offset_of(self.text, failed.node),
            ) from None


class _Guard(ast.NodeTransformer):
    """Operators that could grow become calls of their guards, methods become functions."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        guard = _guard_of(node)
        left, right = self.visit(node.left), self.visit(node.right)
        if guard is None:
            return ast.copy_location(ast.BinOp(left=left, op=node.op, right=right), node)
        return _call(node, guard, [left, right])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        arguments = [self.visit(part) for part in node.args]
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "get":
                return ast.copy_location(ast.Call(func=node.func, args=arguments, keywords=[]), node)
            return _call(node, node.func.attr, [self.visit(node.func.value), *arguments])
        assert isinstance(node.func, ast.Name)
        return _call(node, node.func.id, arguments)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        item = ast.Subscript(value=node.value, slice=ast.Constant(value=node.attr), ctx=ast.Load())
        return ast.copy_location(item, node)


def _call(node: ast.expr, name: str, arguments: list[ast.expr]) -> ast.expr:
    function = ast.Name(id=name, ctx=ast.Load())
    return ast.copy_location(ast.Call(func=function, args=arguments, keywords=[]), node)


def _guard_of(node: ast.BinOp) -> str | None:
    left, right = kind_of(node.left), kind_of(node.right)
    if isinstance(node.op, ast.Mult):
        return None if Kind.FLOAT in (left, right) else "_times"
    if isinstance(node.op, ast.Add):
        return None if left in NUMERIC or right in NUMERIC else "_plus"
    if isinstance(node.op, ast.Pow):
        return "_power"
    if isinstance(node.op, ast.Mod):
        return None if left in NUMERIC else "_modulo"
    return None
