"""The words for rows that a transform turns away."""

from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN = 12


def missing_field(field: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The reason for a row that lacks a field which the transform needs."""
    return {
        "error": f"field '{field}' is missing; the row has {listed(row)}",
        "kind": "missing_field",
        "field": field,
    }


def wrong_type(field: str, value: object, wanted: str) -> dict[str, Any]:
    """The reason for a field whose value is of another type than ``wanted`` (a noun with article)."""
    return {
        "error": f"field '{field}' holds {type_name(value)}, not {wanted}",
        "kind": "wrong_type",
        "field": field,
    }


def listed(names: Iterable[str]) -> str:
    """Names in quotes, separated by commas; long lists are cut short."""
    every = [f"'{name}'" for name in names]
    if not every:
        return "no fields"
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def type_name(value: object) -> str:
    """What a value is, in words that fit behind "holds"."""
    if value is None:
        return "nothing (null)"
    return {
        "str": "text",
        "int": "a whole number",
        "float": "a floating-point number",
        "bool": "true/false",
        "dict": "an object",
        "list": "a list",
        "Decimal": "a decimal number",
        "date": "a date",
        "datetime": "a date and time",
        "bytes": "bytes",
    }.get(type(value).__name__, f"a value of type {type(value).__name__}")
