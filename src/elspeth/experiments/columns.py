"""Columns of an experiment as numpy arrays: a hundred times faster than value by value."""

import math
import struct
from typing import Any

from elspeth.core.landscape.variants.packing import CONSTANT, unreadable
from elspeth.experiments.statistics.distributions import library


def unpack(data: bytes) -> Any:
    """The values as a numpy array: floats, or integers where integers were packed. Raises LandscapeError."""
    numpy = library("numpy")
    kind, rest = data[:1], memoryview(data)[1:]
    try:
        if kind == b"c":
            value, count = CONSTANT.unpack(rest)
            return numpy.full(count, value)
        if kind == b"b":
            small = numpy.frombuffer(rest, "i1")
            return numpy.where(small < 0, math.nan, small.astype(float))
        return numpy.frombuffer(rest, {b"d": "<f8", b"i": "<i8", b"h": "<i2", b"k": ">u8"}[kind])
    except (KeyError, ValueError, struct.error) as error:
        raise unreadable(error) from error
