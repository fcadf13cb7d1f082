"""The whitelist: which syntax trees are expressions of the language.

Everything that is not named here is refused, so a new Python version can add syntax without
adding it to the language.
"""

import ast
import difflib
from collections.abc import Callable
from typing import Any, Final, NoReturn

from elspeth.contracts.errors import ExpressionError
from elspeth.core.expressions.language import ARITY, FUNCTIONS, MAX_BITS, METHODS
from elspeth.core.expressions.syntax import offset_of, segment

_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)
_CONSTANTS: Final = {
    "true": "True",
    "TRUE": "True",
    "false": "False",
    "FALSE": "False",
    "none": "None",
    "null": "None",
    "NULL": "None",
    "nil": "None",
    "undefined": "None",
}
_OPERATOR_FIXES: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.BitAnd: ("'&' is not in the language", "write 'and'"),
    ast.BitOr: ("'|' is not in the language", "write 'or'"),
    ast.BitXor: ("'^' is not in the language", "write '**' for a power, '!=' for exclusive or"),
    ast.LShift: ("'<<' is not in the language", "multiply by a power of two"),
    ast.RShift: ("'>>' is not in the language", "divide by a power of two with '//'"),
    ast.MatMult: ("'@' is not in the language", "write '*'"),
    ast.Invert: ("'~' is not in the language", "write 'not'"),
}
_REFUSED: Final[dict[type[ast.AST], str]] = {
    ast.Lambda: "lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "':='",
    ast.Starred: "'*' before a value",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}


def check(tree: ast.expr, text: str, names: tuple[str, ...]) -> None:
    """Raise ExpressionError for the first thing in ``tree`` that is not in the language."""
    _Checker(text, names).visit(tree)


class _Checker:
    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = text
        self.names = names

    def visit(self, node: ast.expr) -> None:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            thing = _REFUSED.get(type(node), f"this ({type(node).__name__})")
            self.refuse(
                node, f"{thing} is not in the language", "compute it in a transform, and use its field here"
            )
        handler(self, node)

    def refuse(self, node: ast.AST, what: str, fix: str) -> NoReturn:
        raise ExpressionError(what, fix=fix, expression=self.text, offset=offset_of(self.text, node))

    def visit_all(self, nodes: list[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if value is None or isinstance(value, str | bool):
            return
        if isinstance(value, int):
            if value.bit_length() > MAX_BITS:
                self.refuse(node, f"this number has more than {MAX_BITS:,} bits", "use a smaller number")
        elif isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                self.refuse(node, "this number is too large for a float", "use a smaller number")
        else:
            self.refuse(
                node, f"{type(value).__name__} values are not in the language", "use text or a number"
            )

    def name(self, node: ast.Name) -> None:
        if node.id in self.names:
            return
        if node.id in _CONSTANTS:
            self.refuse(node, f"unknown name {node.id!r}", f"write {_CONSTANTS[node.id]}")
        if node.id in FUNCTIONS:
            self.refuse(node, f"{node.id} is a function and must be called", f"write {node.id}(…)")
        first = self.names[0]
        fix = f"write {first}[{node.id!r}] for a field, {node.id!r} in quotes for text"
        near = difflib.get_close_matches(
            node.id, [*self.names, *FUNCTIONS, "True", "False", "None"], n=1, cutoff=0.65
        )
        if near:
            fix = f"did you mean {near[0]}? Otherwise {fix}"
        self.refuse(node, f"unknown name {node.id!r}", fix)

    def subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        key = node.slice
        if isinstance(node.value, ast.Name):
            fix = f"write {node.value.id}['field']"
            if isinstance(key, ast.Slice | ast.Tuple):
                self.refuse(key, f"{node.value.id} is a map of fields by name and can't be sliced", fix)
            if isinstance(key, ast.Constant) and not isinstance(key.value, str):
                self.refuse(
                    key, f"{node.value.id} is a map of fields by name; {key.value!r} is not a name", fix
                )
            if isinstance(key, ast.Name) and key.id not in self.names:
                self.refuse(key, f"unknown name {key.id!r}", f"put the field's name in quotes: ['{key.id}']")
        if isinstance(key, ast.Slice):
            self.visit_all([part for part in (key.lower, key.upper, key.step) if part is not None])
        else:
            self.visit(key)

    def attribute(self, node: ast.Attribute) -> None:
        whole = segment(self.text, node)
        if not isinstance(node.value, ast.Name) or node.value.id not in self.names:
            fix = f"write {whole}(…)" if node.attr in METHODS else _methods()
            self.refuse(node, f"attributes such as .{node.attr} are not in the language", fix)
        if node.attr == "get":
            self.refuse(node, "get is a method and must be called", f"write {whole}('field')")
        if node.value.id == "row" or node.attr.startswith("_"):
            fix = f"write {node.value.id}[{node.attr!r}]"
            self.refuse(node, f"attributes such as .{node.attr} are not in the language", fix)

    def call(self, node: ast.Call) -> None:
        if node.keywords:
            self.refuse(node.keywords[0], "arguments can't be named here", "give the values in order")
        if isinstance(node.func, ast.Name):
            self.function(node, node.func.id, len(node.args))
        elif isinstance(node.func, ast.Attribute):
            self.method(node, node.func)
        else:
            self.refuse(node, "only the functions of the language can be called", _functions())
        self.visit_all(node.args)

    def function(self, node: ast.Call, name: str, count: int) -> None:
        if name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, n=1, cutoff=0.6)
            fix = f"did you mean {near[0]}()? {_functions()}" if near else _functions()
            if name in self.names:
                fix = f"write {name}['field'] with square brackets"
            self.refuse(node, f"unknown function {name}()", fix)
        least, most = ARITY[name]
        if not least <= count <= most:
            wanted = str(least) if least == most else f"{least} or more" if most > 2 else f"{least} or {most}"
            self.refuse(node, f"{name}() takes {wanted} values, not {count}", "give it that many")

    def method(self, node: ast.Call, func: ast.Attribute) -> None:
        target = func.value
        on_map = isinstance(target, ast.Name) and target.id in self.names
        if on_map and func.attr == "get":
            self.get(node, segment(self.text, target))
        elif on_map and func.attr in METHODS:
            name = segment(self.text, target)
            self.refuse(node, f"{name} is a map of fields, not text", f"write {name}['field'].{func.attr}(…)")
        elif func.attr in METHODS:
            self.visit(target)
            self.function(node, func.attr, len(node.args) + 1)
        else:
            self.unknown_method(node, func.attr)

    def unknown_method(self, node: ast.Call, name: str) -> NoReturn:
        if name == "get":
            fix = "write value['key'], or test with 'key' in value first"
            self.refuse(node, "get() is only for " + " and ".join(self.names), fix)
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.6)
        fix = f"did you mean .{near[0]}()? {_methods()}" if near else _methods()
        self.refuse(node, f"unknown method .{name}()", fix)

    def get(self, node: ast.Call, name: str) -> None:
        if not 1 <= len(node.args) <= 2:
            self.refuse(
                node, f"{name}.get() takes a field and perhaps a default", f"write {name}.get('field', 0)"
            )
        key = node.args[0]
        if isinstance(key, ast.Constant) and not isinstance(key.value, str):
            self.refuse(
                key, f"{name} is a map of fields by name; {key.value!r} is not a name", "use text in quotes"
            )
        if isinstance(key, ast.Name) and key.id not in self.names:
            self.refuse(key, f"unknown name {key.id!r}", f"put the field's name in quotes: '{key.id}'")

    def compare(self, node: ast.Compare) -> None:
        self.visit_all([node.left, *node.comparators])
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if not isinstance(operator, _COMPARISONS):
                self.refuse(right, "this comparison is not in the language", "use == != < <= > >= in")
            is_none = isinstance(right, ast.Constant) and right.value is None
            if isinstance(operator, ast.Is | ast.IsNot) and not is_none:
                equals = "==" if isinstance(operator, ast.Is) else "!="
                self.refuse(right, "'is' is only for 'is None' and 'is not None'", f"write '{equals}'")

    def binary(self, node: ast.BinOp) -> None:
        self.operator(node, node.op, _BINARY)
        self.visit_all([node.left, node.right])

    def unary(self, node: ast.UnaryOp) -> None:
        self.operator(node, node.op, (ast.Not, ast.USub, ast.UAdd))
        self.visit(node.operand)

    def operator(self, node: ast.AST, operator: ast.AST, allowed: tuple[type[ast.AST], ...]) -> None:
        if not isinstance(operator, allowed):
            what, fix = _OPERATOR_FIXES.get(
                type(operator), ("this operator is not in the language", "use + - * /")
            )
            self.refuse(node, what, fix)

    def mapping(self, node: ast.Dict) -> None:
        for key in node.keys:
            if key is None:
                self.refuse(node, "'**' before a value is not in the language", "write the keys out")
            self.visit(key)
        self.visit_all(node.values)


def _methods() -> str:
    return "the only methods are " + ", ".join(f".{name}()" for name in sorted(METHODS))


def _functions() -> str:
    return "the functions are " + ", ".join(sorted(FUNCTIONS))


_HANDLERS: Final[dict[type[ast.AST], Callable[[_Checker, Any], None]]] = {
    ast.Constant: _Checker.constant,
    ast.Name: _Checker.name,
    ast.Subscript: _Checker.subscript,
    ast.Attribute: _Checker.attribute,
    ast.Call: _Checker.call,
    ast.Compare: _Checker.compare,
    ast.BinOp: _Checker.binary,
    ast.UnaryOp: _Checker.unary,
    ast.BoolOp: lambda checker, node: checker.visit_all(node.values),
    ast.IfExp: lambda checker, node: checker.visit_all([node.test, node.body, node.orelse]),
    ast.List: lambda checker, node: checker.visit_all(node.elts),
    ast.Tuple: lambda checker, node: checker.visit_all(node.elts),
    ast.Set: lambda checker, node: checker.visit_all(node.elts),
    ast.Dict: _Checker.mapping,
}
