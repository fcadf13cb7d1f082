"""The storage form: JSON that reads back as equal values of the same types (tuples as lists)."""

from math import isfinite
from typing import Any

import orjson

from elspeth.contracts.errors import CanonicalError, LandscapeError
from elspeth.core.canonical.encoding import Encoder, error_of, exact_float
from elspeth.core.canonical.tags import TAG, Unencodable, untag

_ENCODER = Encoder(exact_float, sort_safe=False)
_AS_IS = frozenset((str, int, bool, type(None), float))
_MARK = f'"{TAG}"'
_MARK_BYTES = _MARK.encode("ascii")
_MAX_SHAPES = 1024

_plain_shapes: dict[tuple[type, ...], tuple[int, ...]] = {}


def dump_values(values: list[Any]) -> bytes:
    """A row's values as a JSON array. Raises CanonicalError."""
    shape = tuple(map(type, values))
    floats = _plain_shapes.get(shape)
    if floats is None:
        if not _AS_IS.issuperset(shape):
            return dump(values)
        floats = tuple(index for index, kind in enumerate(shape) if kind is float)
        if len(_plain_shapes) >= _MAX_SHAPES:
            _plain_shapes.clear()
        _plain_shapes[shape] = floats
    for index in floats:
        if not isfinite(values[index]):
            return dump(values)
    try:
        return orjson.dumps(values, None, orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        return dump(values)


def load_values(data: bytes | str) -> list[Any]:
    """The values that `dump_values` was given. Raises LandscapeError if these are not such bytes."""
    values = load(data)
    if type(values) is not list:
        raise LandscapeError(f"a stored row is not a list of values: {data[:60]!r}")
    return values


def dump(value: Any) -> bytes:
    """Any supported value. Raises CanonicalError."""
    try:
        return orjson.dumps(_ENCODER.encode(value), None, orjson.OPT_STRICT_INTEGER)
    except Unencodable as fault:
        raise error_of(fault) from None
    except RecursionError:
        raise CanonicalError("it is nested too deeply for the stack that is left") from None


def load(data: bytes | str) -> Any:
    """The value that `dump` was given. Raises LandscapeError if these are not such bytes."""
    try:
        tree = orjson.loads(data)
        marked = _MARK in data if isinstance(data, str) else _MARK_BYTES in data
        return untag(tree) if marked else tree
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise LandscapeError(f"a stored value cannot be read: {data[:60]!r} ({error})") from error
