"""What kind of value a part of an expression gives, as far as its text shows it.

Two uses: mistakes that would fail on every row are refused at compile time, and operators whose
operands show that nothing can grow are compiled without a guard.
"""

import ast
from enum import Enum
from typing import Final

from elspeth.contracts.errors import ExpressionError
from elspeth.core.expressions.language import MAX_DEPTH
from elspeth.core.expressions.syntax import offset_of, segment

assert MAX_DEPTH < 200, "the walks of this package recurse"


class Kind(Enum):
    """``NUMBER`` is any scalar that arithmetic gives; ``FLOAT`` one that is never an int."""

    BOOL = "True or False"
    NUMBER = "a number"
    FLOAT = "a fractional number"
    TEXT = "text"
    NONE = "None"
    LIST = "a list"
    TUPLE = "a tuple"
    SET = "a set"
    DICT = "a map"


NUMERIC: Final = frozenset({Kind.BOOL, Kind.NUMBER, Kind.FLOAT})
_SCALAR: Final = NUMERIC | {Kind.NONE}
_TEXT_ONLY: Final = frozenset({"lower", "upper", "startswith", "endswith"})
_ORDERING = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def kind_of(node: ast.expr) -> Kind | None:
    """The kind of ``node``, or None where it depends on the row."""
    if isinstance(node, ast.Constant):
        return _constant(node.value)
    if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return Kind.BOOL
    if isinstance(node, ast.UnaryOp):
        return Kind.FLOAT if kind_of(node.operand) is Kind.FLOAT else Kind.NUMBER
    if isinstance(node, ast.BinOp):
        return _binary(node.op, kind_of(node.left), kind_of(node.right))
    if isinstance(node, ast.BoolOp):
        return _join([kind_of(part) for part in node.values])
    if isinstance(node, ast.IfExp):
        return _join([kind_of(node.body), kind_of(node.orelse)])
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Subscript):
        return Kind.TEXT if kind_of(node.value) is Kind.TEXT else None
    return _CONTAINERS.get(type(node))


_CONTAINERS: Final[dict[type[ast.AST], Kind]] = {
    ast.List: Kind.LIST,
    ast.Tuple: Kind.TUPLE,
    ast.Set: Kind.SET,
    ast.Dict: Kind.DICT,
}


def _constant(value: object) -> Kind:
    if value is None:
        return Kind.NONE
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, str):
        return Kind.TEXT
    return Kind.FLOAT if isinstance(value, float) else Kind.NUMBER


def _join(kinds: list[Kind | None]) -> Kind | None:
    if None in kinds:
        return None
    distinct = set(kinds)
    if len(distinct) == 1:
        return distinct.pop()
    return Kind.NUMBER if distinct <= NUMERIC else None


def _binary(op: ast.operator, left: Kind | None, right: Kind | None) -> Kind | None:
    if isinstance(op, ast.Div):
        return Kind.FLOAT
    if isinstance(op, ast.Pow):
        return Kind.NUMBER
    if left is Kind.FLOAT or right is Kind.FLOAT:
        return Kind.FLOAT
    if isinstance(op, ast.Mod | ast.FloorDiv):
        return Kind.NUMBER
    if isinstance(op, ast.Mult):
        return Kind.NUMBER if left in NUMERIC and right in NUMERIC else None
    if left in NUMERIC or right in NUMERIC:
        return Kind.NUMBER
    return left if left is right else None


def _call(node: ast.Call) -> Kind | None:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in ("lower", "upper"):
        return Kind.TEXT
    if name in ("startswith", "endswith"):
        return Kind.BOOL
    if name in ("len", "abs", "round"):
        return Kind.NUMBER
    if name in ("min", "max") and len(node.args) > 1:
        return _join([kind_of(part) for part in node.args])
    return None


def check_kinds(node: ast.expr, text: str) -> None:
    """Raise ExpressionError for an operation that fails whatever the row holds."""
    for part in ast.walk(node):
        if isinstance(part, ast.BinOp):
            _check_binary(part, text)
        elif isinstance(part, ast.Compare):
            _check_compare(part, text)
        elif isinstance(part, ast.Call):
            _check_call(part, text)
        elif isinstance(part, ast.UnaryOp) and not isinstance(part.op, ast.Not):
            _require_number(part.operand, text, "a sign is for numbers")
        elif isinstance(part, ast.Subscript):
            _check_subscript(part, text)


def _refuse(node: ast.expr, text: str, what: str, fix: str) -> None:
    raise ExpressionError(
        f"{what} ({segment(text, node)} is {kind_text(node)})",
        fix=fix,
        expression=text,
        offset=offset_of(text, node),
    )


def kind_text(node: ast.expr) -> str:
    """``node``'s kind in words; "unknown" where it depends on the row."""
    kind = kind_of(node)
    return kind.value if kind else "unknown"


def _require_number(node: ast.expr, text: str, what: str) -> None:
    if (kind := kind_of(node)) is not None and kind not in NUMERIC:
        _refuse(node, text, what, "use a number here")


def _check_binary(node: ast.BinOp, text: str) -> None:
    left, right = kind_of(node.left), kind_of(node.right)
    if isinstance(node.op, ast.Mod | ast.Div | ast.FloorDiv | ast.Pow):
        for part in (node.left, node.right):
            _require_number(part, text, "this operator is for numbers only")
    if left is None or right is None:
        return
    both_numeric = left in NUMERIC and right in NUMERIC
    if isinstance(node.op, ast.Add):
        fits = both_numeric or (left is right and left in (Kind.TEXT, Kind.LIST, Kind.TUPLE))
    elif isinstance(node.op, ast.Sub):
        fits = both_numeric or left is right is Kind.SET
    elif isinstance(node.op, ast.Mult):
        repeats = {Kind.TEXT, Kind.LIST, Kind.TUPLE}
        whole = {Kind.NUMBER, Kind.BOOL}
        fits = both_numeric or (left in repeats and right in whole) or (right in repeats and left in whole)
    else:
        fits = True
    if not fits:
        _refuse(
            node.right, text, f"{left.value} and {right.value} can't be combined", "make both of one kind"
        )


def _check_compare(node: ast.Compare, text: str) -> None:
    left_node = node.left
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        left, right = kind_of(left_node), kind_of(right_node)
        if isinstance(op, _ORDERING):
            for part, kind in ((left_node, left), (right_node, right)):
                if kind in (Kind.NONE, Kind.DICT):
                    _refuse(part, text, "this can't be ordered", "compare with '==' or 'is None'")
            if left and right and left is not right and not (left in NUMERIC and right in NUMERIC):
                fix = "compare things of one kind; remove the quotes around a number"
                _refuse(right_node, text, f"{left.value} can't be ordered against {right.value}", fix)
        elif isinstance(op, ast.In | ast.NotIn):
            if right in _SCALAR:
                _refuse(right_node, text, "'in' needs a list or text on its right", "write in (1, 2, 3)")
            if right is Kind.TEXT and left not in (None, Kind.TEXT):
                _refuse(left_node, text, "only text can be in text", "put quotes around it, or use a list")
        left_node = right_node


def _check_call(node: ast.Call, text: str) -> None:
    func = node.func
    if isinstance(func, ast.Attribute):
        if func.attr == "get":
            return
        name, arguments = func.attr, [func.value, *node.args]
    else:
        assert isinstance(func, ast.Name)
        name, arguments = func.id, node.args
    if name in _TEXT_ONLY:
        _check_text_call(name, arguments, text)
    elif name == "len":
        if kind_of(arguments[0]) in _SCALAR:
            _refuse(arguments[0], text, "len() is for text and lists", "give it text or a list")
    elif name in ("abs", "round"):
        for part in arguments:
            _require_number(part, text, f"{name}() is for numbers")
        if name == "round" and len(arguments) > 1 and kind_of(arguments[1]) is Kind.FLOAT:
            _refuse(arguments[1], text, "places are counted in whole numbers", "write round(x, 2)")
    else:
        _check_choice(name, arguments, text)


def _check_text_call(name: str, arguments: list[ast.expr], text: str) -> None:
    if kind_of(arguments[0]) not in (None, Kind.TEXT):
        _refuse(arguments[0], text, f"{name}() is for text", "give it text")
    if len(arguments) > 1 and kind_of(arguments[1]) not in (None, Kind.TEXT, Kind.TUPLE):
        _refuse(arguments[1], text, f"{name}() looks for text", "give it text, or several in (…)")


def _check_choice(name: str, arguments: list[ast.expr], text: str) -> None:
    kinds = [kind_of(part) for part in arguments]
    if len(kinds) == 1:
        if kinds[0] in _SCALAR:
            _refuse(arguments[0], text, f"{name}() needs several values or a list", f"write {name}(a, b)")
    elif Kind.NONE in kinds or Kind.DICT in kinds or _mixed(kinds):
        _refuse(arguments[-1], text, f"{name}() needs values of one kind", "make all of one kind")


def _mixed(kinds: list[Kind | None]) -> bool:
    known = {Kind.NUMBER if kind in NUMERIC else kind for kind in kinds if kind is not None}
    return len(known) > 1


def _check_subscript(node: ast.Subscript, text: str) -> None:
    kind = kind_of(node.value)
    if kind in _SCALAR or kind is Kind.SET:
        _refuse(node.value, text, "this has no parts", "remove the [ ]")
    if kind in (Kind.TEXT, Kind.LIST, Kind.TUPLE) and not isinstance(node.slice, ast.Slice):
        if kind_of(node.slice) not in (None, Kind.NUMBER, Kind.BOOL):
            _refuse(node.slice, text, "positions are whole numbers", "use a number in the [ ]")
    elif kind is not Kind.DICT and kind_of(node.slice) in (Kind.LIST, Kind.SET, Kind.DICT):
        _refuse(node.slice, text, "this can't be the name of a field", "use text")
