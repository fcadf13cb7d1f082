"""From values to trees that orjson writes exactly as they must stand."""

from collections.abc import Callable
from math import isfinite
from typing import Any, NoReturn

import orjson
import rfc8785

from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical.tags import (
    SAFE_INTEGER,
    TAG,
    TAGGED_FORMS,
    Unencodable,
    integer_form,
    tagged,
)

MAX_DEPTH = 200
"""Levels of lists and dicts, tags included; well below what orjson and Python's stack can take."""

HASH_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def _text_form(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Unencodable(
                f"the text has a lone surrogate ({value[error.start]!r} at position {error.start})",
                "decode the input with its real encoding, or replace such characters before",
            ) from error
    return value


def _not_finite(value: float) -> NoReturn:
    raise Unencodable(f"{value!r} has no JSON form", "use null, or route such rows away before")


def exact_float(value: float) -> float:
    """Storage: orjson writes the shortest text that reads back as the same float."""
    if not isfinite(value):
        _not_finite(value)
    return value


def canonical_float(value: float) -> Any:
    """Hashing: orjson agrees with ECMAScript on the middle range only; rfc8785 writes the rest."""
    if value.is_integer():
        if -SAFE_INTEGER < value < SAFE_INTEGER:
            return int(value)
    elif 1e-4 <= value < 1e15 or -1e15 < value <= -1e-4:
        return value
    if not isfinite(value):
        _not_finite(value)
    return orjson.Fragment(rfc8785.dumps(value))


def _itself(value: Any) -> Any:
    return value


class Encoder:
    """Encodes any supported value; raises Unencodable for all others.

    ``sort_safe`` makes dicts come out in RFC 8785's order (by UTF-16 code units) where orjson's
    (by UTF-8 bytes) differs.
    """

    __slots__ = ("_sort_safe", "forms")

    def __init__(self, float_form: Callable[[float], Any], *, sort_safe: bool) -> None:
        self._sort_safe = sort_safe
        self.forms: dict[type, Callable[[Any], Any]] = {
            str: _text_form,
            int: integer_form,
            bool: _itself,
            type(None): _itself,
            float: float_form,
            **TAGGED_FORMS,
        }

    def encode(self, value: Any, depth: int = 1) -> Any:
        """``depth`` is the level that ``value`` would have if it were a list or dict."""
        kind = type(value)
        form = self.forms.get(kind)
        if form is not None:
            return form(value)
        if depth > MAX_DEPTH:
            raise Unencodable(f"more than {MAX_DEPTH} levels of nesting", "flatten it, or keep it as text")
        if kind is dict:
            return self._mapping(value, depth)
        if kind is list or kind is tuple:
            return self._sequence(value, depth)
        raise _unknown(value)

    def _sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        out: list[Any] = []
        try:
            for item in value:
                out.append(self.encode(item, depth + 1))
        except Unencodable as fault:
            fault.trail.append(len(out))
            raise
        return out

    def _mapping(self, value: dict[Any, Any], depth: int) -> Any:
        wrapped = TAG in value
        inner = depth + 3 if wrapped else depth + 1
        out: dict[str, Any] = {}
        ascii_keys = True
        key: Any = None
        try:
            for key, item in value.items():
                if type(key) is not str:
                    kind = type(key).__name__
                    raise Unencodable(f"the key {key!r} is of type {kind}, not str", "make it a str")
                if not key.isascii():
                    ascii_keys = False
                    _text_form(key)
                out[key] = self.encode(item, inner)
        except Unencodable as fault:
            fault.trail.append(key if isinstance(key, str) else repr(key))
            raise
        if wrapped and depth + 2 > MAX_DEPTH:
            raise Unencodable(f"more than {MAX_DEPTH} levels of nesting", "flatten it, or keep it as text")
        tree = out if ascii_keys or not self._sort_safe else _in_utf16_order(out)
        return tagged("dict", tree) if wrapped else tree


def _in_utf16_order(tree: dict[str, Any]) -> Any:
    if all(max(key, default="") < "\U00010000" for key in tree):
        return tree
    pairs = sorted(tree.items(), key=lambda pair: pair[0].encode("utf-16-be"))
    parts = [orjson.dumps(key) + b":" + orjson.dumps(item, None, HASH_OPTIONS) for key, item in pairs]
    return orjson.Fragment(b"{" + b",".join(parts) + b"}")


def _unknown(value: Any) -> Unencodable:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    what = f"{name} has no canonical form"
    for base in (str, int, float, dict, list, tuple, bytes):
        if isinstance(value, base):
            return Unencodable(f"{what} (only {base.__name__} itself has)", f"use {base.__name__}(value)")
    if hasattr(value, "item") and hasattr(value, "dtype"):
        return Unencodable(what, "use value.item() or value.tolist()")
    return Unencodable(
        what, "use str, int, float, bool, None, Decimal, date, time, datetime, bytes, UUID, list or dict"
    )


def error_of(fault: Unencodable) -> CanonicalError:
    """The error for the reader, with the path spelt as in ``items[3].price``."""
    path = ""
    for step in reversed(fault.trail):
        if isinstance(step, int):
            path += f"[{step}]"
        elif not path:
            path = step
        else:
            path += f".{step}" if step.isidentifier() else f"[{step!r}]"
    return CanonicalError(fault.what, path=path, fix=fault.fix)
