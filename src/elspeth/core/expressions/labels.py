"""Route labels: which ones a condition can give, and the label of a value."""

import ast
from typing import Any

from elspeth.core.expressions.kinds import Kind, kind_of

BOOLEAN_LABELS = frozenset({"true", "false"})


class NoLabel(TypeError):
    """A value that can't be a route label; the message names its type, never the value."""


def label_of(value: Any) -> str:
    """The route label of a condition's value: ``"true"``/``"false"``, text as it is, ``str`` of an int.

    Raises NoLabel (one of `EVALUATION_ERRORS`) for None, floats and everything else: two of their
    spellings could mean one value, and None mostly means that a field was empty.
    """
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    raise NoLabel(
        f"the condition gave {type_name(value)}; a route label is True, False, text or a whole number"
    )


def type_name(value: Any) -> str:
    """The type of a value in the words of pipeline files. Never shows the value."""
    if value is None:
        return "nothing (null)"
    known = {
        bool: "a boolean (bool)",
        str: "text (str)",
        int: "a whole number (int)",
        float: "a number (float)",
        list: "a list",
        tuple: "a tuple",
        dict: "a map",
    }
    return known.get(type(value), f"a value of type {type(value).__name__.lower()}")


def labels_of(tree: ast.expr) -> frozenset[str] | None:
    """Every label that ``tree`` can give, or None if its text does not show them.

    ``a and b`` is boolean only if both sides are: ``row['a'] and row['b']`` gives a field's value.
    """
    if isinstance(tree, ast.Constant):
        return _constant(tree.value)
    if isinstance(tree, ast.IfExp):
        return _union([tree.body, tree.orelse])
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Dict):
        return _union(tree.value.values)
    return BOOLEAN_LABELS if kind_of(tree) is Kind.BOOL else None


def unlabelled(tree: ast.expr) -> ast.expr | None:
    """The part of ``tree`` that can be its value and never is a label (None, a float, a list …)."""
    if isinstance(tree, ast.IfExp):
        return unlabelled(tree.body) or unlabelled(tree.orelse)
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Dict):
        return next(filter(None, map(unlabelled, tree.value.values)), None)
    return tree if kind_of(tree) not in (None, Kind.BOOL, Kind.TEXT, Kind.NUMBER) else None


def _constant(value: Any) -> frozenset[str] | None:
    try:
        return frozenset({label_of(value)})
    except NoLabel:
        return None


def _union(parts: list[ast.expr]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for part in parts:
        labels = labels_of(part)
        if labels is None:
            return None
        found |= labels
    return found
