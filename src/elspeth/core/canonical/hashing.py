"""Canonical bytes and digests.

Rows of one run come in few shapes. What a shape needs (nothing; a look at some floats; tags at
some fields) is worked out once per shape, and orjson writes the bytes.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical.encoding import HASH_OPTIONS, Encoder, canonical_float, error_of
from elspeth.core.canonical.tags import TAG, Unencodable

_ENCODER = Encoder(canonical_float, sort_safe=True)
_AS_IS = frozenset((str, int, bool, type(None)))
_CONTAINERS = frozenset((list, dict, tuple))
_MAX_SHAPES = 1024


class _Shape(NamedTuple):
    """What rows with these keys and types need before orjson may write them."""

    floats: tuple[str, ...]
    others: tuple[tuple[str, Callable[[Any], Any]], ...]


_shapes: dict[tuple[Any, ...], _Shape] = {}


def row_digest(row: dict[str, Any]) -> bytes:
    """SHA-256 (32 bytes) of `canonical_row`."""
    return sha256(canonical_row(row)).digest()


def digest(value: Any) -> bytes:
    """SHA-256 (32 bytes) of `canonical`."""
    return sha256(canonical(value)).digest()


def canonical(value: Any) -> bytes:
    """RFC 8785 JSON of any supported value; equal bytes mean equal values. Raises CanonicalError."""
    try:
        return orjson.dumps(_ENCODER.encode(value), None, HASH_OPTIONS)
    except Unencodable as fault:
        raise error_of(fault) from None
    except RecursionError:
        raise CanonicalError("it is nested too deeply for the stack that is left") from None


def canonical_row(row: dict[str, Any]) -> bytes:
    """The same bytes as ``canonical(row)``, in about 1 µs for a small row of a shape seen before."""
    try:
        shape = _shapes[(*row, *map(type, row.values()))]
    except KeyError:
        known = _learn(row)
        if known is None:
            return canonical(row)
        shape = known
    floats, others = shape
    ready = row
    for key in floats:
        value = row[key]
        if (1e-4 <= value < 1e15 or -1e15 < value <= -1e-4) and not value.is_integer():
            continue
        if ready is row:
            ready = row.copy()
        try:
            ready[key] = canonical_float(value)
        except Unencodable:
            return canonical(row)
    if others:
        try:
            if ready is row:
                ready = row.copy()
            for key, form in others:
                ready[key] = form(row[key])
        except (Unencodable, RecursionError):
            return canonical(row)
    try:
        return orjson.dumps(ready, None, HASH_OPTIONS)
    except orjson.JSONEncodeError:
        # A large integer (gets its tag), a lone surrogate or a str subclass as a key (get their error).
        return canonical(row)


def _learn(row: dict[str, Any]) -> _Shape | None:
    """The shape of a row, remembered; None for rows that only `canonical` can do justice to."""
    floats: list[str] = []
    others: list[tuple[str, Callable[[Any], Any]]] = []
    for key, value in row.items():
        kind = type(value)
        if type(key) is not str or key == TAG or max(key, default="") > "\uffff":
            return None
        if kind is float:
            floats.append(key)
        elif kind in _CONTAINERS:
            others.append((key, _encode_field))
        elif kind not in _AS_IS:
            form = _ENCODER.forms.get(kind)
            if form is None:
                return None
            others.append((key, form))
    if len(_shapes) >= _MAX_SHAPES:
        _shapes.clear()
    shape = _Shape(tuple(floats), tuple(others))
    _shapes[(*row, *map(type, row.values()))] = shape
    return shape


def _encode_field(value: Any) -> Any:
    return _ENCODER.encode(value, 2)
