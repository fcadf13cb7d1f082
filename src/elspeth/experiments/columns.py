"""Columns of numbers as bytes: what a commit puts down of an experiment, and how it is read again.

One byte says how the values are stored, the rest are the values, little-endian: ``d`` 64-bit
floats, ``i`` 64-bit integers, ``h`` 16-bit integers, ``b`` yes, no and missing (1, 0, -1), ``k`` 8-byte keys
of units, ``c`` one float and how often it comes.
"""

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from elspeth.contracts.errors import LandscapeError
from elspeth.experiments.statistics.distributions import library

VARIANT, UNIT, PAIR, FAILED, LATENCY = "variant", "unit", "pair", "failed", "latency_ms"
FIXED = (VARIANT, UNIT, PAIR, FAILED, LATENCY)
"""The columns that are there whatever the metrics.

A unit is the key that `core.config.assigning.unit_key` makes; a pair the row and the token that were
sent to all variants; the latency that of the calls, or of the step where none was made.
"""

USED = "usage."
"""Begins the names of columns of what the calls of a row add up to; missing where there were no calls."""

EXPRESSION = "= "
"""What begins the names of columns that hold the values of an expression."""

_SHARE = frozenset((0.0, 1.0))
_CONSTANT = struct.Struct("<dq")


def pack_numbers(values: Sequence[float]) -> bytes:
    """Floats, NaN where there is no value, in as few bytes as they need."""
    first = values[0] if values else 0.0
    if values and values.count(first) == len(values):
        return b"c" + _CONSTANT.pack(first, len(values))
    if all(value in _SHARE or value != value for value in values):
        return b"b" + array("b", [-1 if value != value else int(value) for value in values]).tobytes()
    return b"d" + _little(array("d", values))


def pack_small(values: Iterable[int]) -> bytes:
    """Integers below 2^15."""
    return b"h" + _little(array("h", values))


def pack_integers(values: Iterable[int]) -> bytes:
    """Integers below 2^63."""
    return b"i" + _little(array("q", values))


def pack_keys(keys: Iterable[bytes]) -> bytes:
    """Keys of units."""
    return b"k" + b"".join(keys)


def unpack(data: bytes) -> Any:
    """The values as a numpy array: floats, or integers where integers were packed. Raises LandscapeError."""
    numpy = library("numpy")
    kind, rest = data[:1], memoryview(data)[1:]
    try:
        if kind == b"c":
            value, count = _CONSTANT.unpack(rest)
            return numpy.full(count, value)
        if kind == b"b":
            small = numpy.frombuffer(rest, "i1")
            return numpy.where(small < 0, math.nan, small.astype(float))
        return numpy.frombuffer(rest, {b"d": "<f8", b"i": "<i8", b"h": "<i2", b"k": ">u8"}[kind])
    except (KeyError, ValueError, struct.error) as error:
        raise LandscapeError(
            f"a column of an experiment can't be read: {error}", fix="see what `elspeth verify` says"
        ) from error


def _little(values: "array[Any]") -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
