"""Holding an expression against the declared types of the fields that it reads."""

import ast
import copy
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from elspeth.contracts.errors import ExpressionError
from elspeth.contracts.schema import FieldType
from elspeth.core.expressions.expression import Expression
from elspeth.core.expressions.fields import ROW
from elspeth.core.expressions.kinds import check_kinds

_SAMPLES: Final[Mapping[FieldType, Any]] = {
    FieldType.STR: "",
    FieldType.INT: 0,
    FieldType.FLOAT: 0.0,
    FieldType.BOOL: False,
    FieldType.DECIMAL: Decimal(),
}


def type_problem(expression: Expression, types: Mapping[str, FieldType]) -> ExpressionError | None:
    """The first operation that fails on every row whose fields have these types, or None.

    Finds text ordered against numbers and the like; ``==`` between types is never an error, and
    dates are not judged.
    """
    tree = _Typed(types).visit(copy.deepcopy(expression.tree))
    try:
        check_kinds(tree, expression.text)
    except ExpressionError as error:
        return error
    return None


class _Typed(ast.NodeTransformer):
    """Fields of a known type become constants of that type: that is all that kinds depend on."""

    def __init__(self, types: Mapping[str, FieldType]) -> None:
        self.types = types

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        key = node.slice
        if isinstance(node.value, ast.Name) and node.value.id == ROW and isinstance(key, ast.Constant):
            kind = self.types.get(key.value) if isinstance(key.value, str) else None
            if kind is not None and kind in _SAMPLES:
                return ast.copy_location(ast.Constant(value=_SAMPLES[kind]), node)
        return self.generic_visit(node)
