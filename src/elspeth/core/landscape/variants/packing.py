"""Columns of numbers as bytes: what a commit puts down of an experiment, and how it is read again.

One byte says how the values are stored, the rest are the values, little-endian: ``d`` 64-bit
floats, ``i`` 64-bit integers, ``h`` 16-bit integers, ``b`` yes, no and missing (1, 0, -1), ``k`` 8-byte keys
of units, ``c`` one float and how often it comes.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence

from elspeth.contracts.errors import LandscapeError

VARIANT, UNIT, PAIR, FAILED, LATENCY = "variant", "unit", "pair", "failed", "latency_ms"
"""The columns that are there whatever the metrics.

A unit is the key that `core.config.buckets.unit_key` makes; a pair the row and the token that were
sent to all variants; the latency that of the calls, or of the step where none was made.
"""

USED = "usage."
"""Begins the names of columns of what the calls of a row add up to; missing where there were no calls."""

EXPRESSION = "= "
"""What begins the names of columns that hold the values of an expression."""

_SHARE = frozenset((0.0, 1.0))
CONSTANT = struct.Struct("<dq")


def pack_numbers(values: Sequence[float]) -> bytes:
    """Floats, NaN where there is no value, in as few bytes as they need."""
    first = values[0] if values else 0.0
    if values and values.count(first) == len(values):
        return b"c" + CONSTANT.pack(first, len(values))
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


def values_in(data: bytes) -> list[float | int | str | None]:
    """The values one by one, None where there is none; keys of units in hex. Raises LandscapeError."""
    kind, rest = data[:1], data[1:]
    try:
        if kind == b"c":
            value, count = CONSTANT.unpack(rest)
            return [None if value != value else value] * count
        if kind == b"k":
            return [rest[at : at + 8].hex() for at in range(0, len(rest), 8)]
        found = array({b"d": "d", b"i": "q", b"h": "h", b"b": "b"}[kind], rest)
    except (KeyError, ValueError, struct.error) as error:
        raise unreadable(error) from error
    if kind == b"b":
        return [None if value < 0 else value for value in found]
    if sys.byteorder == "big":
        found.byteswap()
    return [None if value != value else value for value in found]


def unreadable(error: Exception) -> LandscapeError:
    """What to raise for bytes that hold no column."""
    return LandscapeError(
        f"a column of an experiment can't be read: {error}", fix="see what `elspeth verify` says"
    )


def _little(values: "array[float] | array[int]") -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
