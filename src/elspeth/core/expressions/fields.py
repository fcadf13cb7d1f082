"""Which fields of the row an expression reads, and which of them it can't do without."""

import ast

ROW = "row"


def mentioned(tree: ast.expr) -> frozenset[str]:
    """Every field named by a constant: ``row['x']``, ``row.get('x')``, ``'x' in row``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_row(node.value):
            found.add(_constant(node.slice))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_row(node.func.value):
            found.add(_constant(node.args[0]))
        elif isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            for op, left, right in zip(node.ops, parts, parts[1:], strict=False):
                if isinstance(op, ast.In | ast.NotIn) and _is_row(right):
                    found.add(_constant(left))
    return frozenset(name for name in found if name is not None)


def required(node: ast.AST) -> frozenset[str]:
    """The fields without which ``node`` fails on every row.

    Only what is sure to be computed counts: not the right side of ``and`` and ``or``, and of a
    ternary only what both branches need.
    """
    if isinstance(node, ast.BoolOp):
        return required(node.values[0])
    if isinstance(node, ast.IfExp):
        return required(node.test) | (required(node.body) & required(node.orelse))
    if isinstance(node, ast.Compare):
        return required(node.left) | required(node.comparators[0])
    needed: frozenset[str] = frozenset()
    for child in ast.iter_child_nodes(node):
        needed |= required(child)
    if (
        isinstance(node, ast.Subscript)
        and _is_row(node.value)
        and (name := _constant(node.slice)) is not None
    ):
        needed |= {name}
    return needed


def _is_row(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == ROW


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
