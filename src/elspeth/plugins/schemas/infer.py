"""Types of untyped columns, from what their first cells look like.

A column gets a type only if every cell would survive the way there and back: leading zeros, plus
signs, spaces, exponents, more than 15 significant digits, and dates stay text.
"""

import re
from collections.abc import Sequence
from typing import Any

from elspeth.contracts.schema import FieldType

SAMPLE_ROWS = 1_000
"""How many rows are looked at."""

_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_PLAIN_LINES = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?\n)*+")
_MAX_SIGNIFICANT = 15
_BOOL_SPELLINGS = (("true", "false"), ("True", "False"), ("TRUE", "FALSE"))


def exact_ints(cells: Sequence[str]) -> list[Any]:
    """All cells as integers; ValueError unless each is written as Python would print it."""
    values = list(map(int, cells))
    if list(map(str, values)) != list(cells):
        raise ValueError("not written as a plain whole number")
    return values


def exact_floats(cells: Sequence[str]) -> list[Any]:
    """All cells as floats; ValueError unless each is a plain decimal number of at most 15 digits."""
    joined = "\n".join(cells) + "\n"
    if not _PLAIN_LINES.fullmatch(joined):
        raise ValueError("not plain decimal numbers")
    if max(map(len, cells)) > _MAX_SIGNIFICANT and not all(map(_few_digits, cells)):
        raise ValueError("too many digits")
    return list(map(float, cells))


def _few_digits(cell: str) -> bool:
    digits = cell.lstrip("-").replace(".", "", 1).lstrip("0")
    return len(digits) <= _MAX_SIGNIFICANT


def exact_bools(cells: Sequence[str]) -> list[Any]:
    """All cells as booleans; ValueError unless all are spelt true/false in one way."""
    seen = set(cells)
    for yes, no in _BOOL_SPELLINGS:
        if seen <= {yes, no}:
            return [cell == yes for cell in cells]
    raise ValueError("not true or false")


INFERRED = {FieldType.INT: exact_ints, FieldType.FLOAT: exact_floats, FieldType.BOOL: exact_bools}
_ORDER = (FieldType.INT, FieldType.FLOAT, FieldType.BOOL)

WHAT_FITS = {
    FieldType.INT: "a plain whole number",
    FieldType.FLOAT: "a plain decimal number of at most 15 digits",
    FieldType.BOOL: "true or false in one spelling",
}


def infer_column(cells: Sequence[str]) -> FieldType:
    """The type of one column; empty cells say nothing, and a column of nothing else is text."""
    values = list(filter(None, cells))
    for kind in _ORDER if values else ():
        try:
            INFERRED[kind](values)
        except ValueError:
            continue
        return kind
    return FieldType.STR


def infer_columns(rows: Sequence[Sequence[str]], width: int) -> list[FieldType]:
    """The types of ``width`` columns, from rows that all have that many cells."""
    if not rows:
        return [FieldType.STR] * width
    return [infer_column(column) for column in zip(*rows, strict=True)]
