"""The tagged forms of what JSON lacks."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

TAG = "$elspeth"

SAFE_INTEGER = 2**53
"""Integers below this magnitude are exact in every JSON reader."""


class Unencodable(Exception):
    """A value without a form. ``trail`` collects keys and indexes, innermost first."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.trail: list[str | int] = []


def tagged(kind: str, content: Any) -> dict[str, Any]:
    return {TAG: [kind, content]}


def integer_form(value: int) -> Any:
    if -SAFE_INTEGER < value < SAFE_INTEGER:
        return value
    try:
        return tagged("int", str(value))
    except ValueError as error:
        what = "the integer has more digits than Python writes as text"
        raise Unencodable(what, "keep it as text or bytes") from error


def _decimal_form(value: Decimal) -> Any:
    if not value.is_finite():
        raise Unencodable(f"Decimal {value} is not a number", "use null, or route such rows away before")
    # upper(): a decimal context may ask for a small "e".
    return tagged("decimal", str(value).upper())


TAGGED_FORMS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {
        Decimal: _decimal_form,
        date: lambda value: tagged("date", value.isoformat()),
        datetime: lambda value: tagged("datetime", value.isoformat()),
        time: lambda value: tagged("time", value.isoformat()),
        bytes: lambda value: tagged("bytes", b64encode(value).decode("ascii")),
        UUID: lambda value: tagged("uuid", str(value)),
    }
)

_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "int": int,
        "decimal": Decimal,
        "date": date.fromisoformat,
        "datetime": datetime.fromisoformat,
        "time": time.fromisoformat,
        "bytes": b64decode,
        "uuid": UUID,
    }
)


def untag(tree: Any) -> Any:
    """The value that a parsed tree stands for. Raises KeyError, ValueError on trees we never wrote."""
    if type(tree) is list:
        return [untag(item) if type(item) in (list, dict) else item for item in tree]
    if type(tree) is not dict:
        return tree
    if TAG in tree:
        kind, content = tree[TAG]
        if kind != "dict":
            return _READERS[kind](content)
        tree = content
    return {key: untag(item) if type(item) in (list, dict) else item for key, item in tree.items()}
