"""Leaves: one SHA-256 per record of the audit trail, over an encoding that no other record can have.

A leaf is ``SHA-256(0x00 ‖ domain ‖ 0x0A ‖ encoding)``, as in RFC 9162. The domain names the kind of
record and the version of its encoding. The encoding of a list of values is: their number (4
bytes), one letter for the type of each (n null, i integer, s text, b bytes, d float), then 8 bytes
for each that is not null (the integer itself; else the number of bytes that follow for it), then
those bytes. All numbers are big-endian. From these the values can be read back, so two records
with the same encoding are the same record.

The contents of a row (``payload`` and ``deltas``) are in a trace's leaf by their own hash: what a
purge takes away later can be told from what somebody changed.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from struct import Struct, error
from typing import Any

from elspeth.core.landscape.payloads.forms import PURGED, hash_of_purged

VERSION = 1
_FLOAT = Struct(">d")
_LENGTHS = Struct(">qq")
_TRACE_DOMAIN = b"\x00elspeth trace 1\n"
# The forms of a trace that the engine writes: first of its row, the same with a variant, one with a parent.
_EIGHT, _NINE = (Struct(f">{len(_TRACE_DOMAIN)}sI12s{numbers}q") for numbers in (8, 9))
_FIRST_TYPES, _CHILD_TYPES, _MARKED_TYPES = b"iiiinisbbnnn", b"iiiiiisbbnnn", b"iiiinisbbnns"

Values = Sequence[Any]


def domain(kind: str) -> bytes:
    """The bytes that a leaf of this kind begins with, the 0x00 of RFC 9162 included."""
    return f"\x00elspeth {kind} {VERSION}\n".encode()


def encode(values: Values) -> bytes:
    """The encoding of a list of values: None, int, str, bytes and float. Raises TypeError for others."""
    types = ""
    numbers: list[int] = []
    bodies: list[bytes] = []
    for value in values:
        if isinstance(value, str):
            types += "s"
            body = value.encode() if value.isascii() else value.encode("utf-8", "surrogateescape")
        elif value is None:
            types += "n"
            continue
        elif isinstance(value, int):
            types += "i"
            numbers.append(value)
            continue
        elif isinstance(value, bytes):
            types += "b"
            body = value
        elif isinstance(value, float):
            types += "d"
            body = _FLOAT.pack(value)
        else:
            raise TypeError(f"a leaf can't hold {type(value).__name__}")
        numbers.append(len(body))
        bodies.append(body)
    head = _head(len(types), len(numbers)).pack(len(types), types.encode(), *numbers)
    return b"".join((head, *bodies))


@cache
def _head(values: int, numbers: int) -> Struct:
    return Struct(f">I{values}s{numbers}q")


def leaf(kind: str, values: Values) -> bytes:
    """The leaf of one record of this kind. A trace has its own: `trace_leaf`."""
    return sha256(domain(kind) + encode(values)).digest()


def content_hash(payload: Any, deltas: Any) -> bytes:
    """The hash of what a trace holds of its row: SHA-256 over both lengths (-1: null) and both texts.

    The mark that a purge leaves is this hash of what was there (`forms`); `purges` tells of marks that
    no purge on record has made.
    """
    if payload is None:
        if deltas is None:
            return _EMPTY
        body, first, second = deltas.encode(), -1, 0
    elif deltas is None:
        if payload[:1] == PURGED:
            with suppress(ValueError):
                return hash_of_purged(payload)
        body = payload.encode()
        first, second = len(body), -1
    else:
        body = payload.encode()
        first = len(body)
        body += deltas.encode()
    if deltas is not None:
        second = len(body) - max(first, 0)
    return sha256(_LENGTHS.pack(first, second) + body).digest()


_EMPTY = sha256(_LENGTHS.pack(-1, -1)).digest()


def trace_leaf(row: Values) -> bytes:
    """The leaf of a row of ``traces``, all columns in their order."""
    return trace_leaves((row,))[0]


def trace_leaves(rows: Iterable[Values]) -> list[bytes]:
    """The leaves of many traces: `trace_leaf` of each.

    One long function, because it runs for every token, and each call that it saves is worth a
    hundredth of a run's time.
    """
    found = []
    eight, nine, lengths, hashed = _EIGHT.pack, _NINE.pack, _LENGTHS.pack, sha256
    for row in rows:
        (
            run_no, row_no, token_no, path_no, parent_no, t0, times, hashes, payload, deltas, alias, other,
            assigned,
        ) = row  # fmt: skip
        if alias is not None or other is not None or (assigned is not None and parent_no is not None):
            found.append(_any_trace(row))
            continue
        try:
            at = times.encode()
            if payload is None or payload[:1] == PURGED:
                held = content_hash(payload, deltas)
            elif deltas is None:
                body = payload.encode()
                held = hashed(lengths(len(body), -1) + body).digest()
            else:
                body = payload.encode()
                changes = deltas.encode()
                held = hashed(lengths(len(body), len(changes)) + body + changes).digest()
            if assigned is not None:
                mark = assigned.encode()
                head = nine(
                    _TRACE_DOMAIN, 12, _MARKED_TYPES, run_no, row_no, token_no, path_no, t0, len(at),
                    len(hashes), 32, len(mark),
                )  # fmt: skip
                found.append(hashed(b"".join((head, at, hashes, held, mark))).digest())
                continue
            if parent_no is None:
                head = eight(
                    _TRACE_DOMAIN, 12, _FIRST_TYPES, run_no, row_no, token_no, path_no, t0, len(at),
                    len(hashes), 32,
                )  # fmt: skip
            else:
                head = nine(
                    _TRACE_DOMAIN, 12, _CHILD_TYPES, run_no, row_no, token_no, path_no, parent_no, t0,
                    len(at), len(hashes), 32,
                )  # fmt: skip
            found.append(hashed(b"".join((head, at, hashes, held))).digest())
        except (AttributeError, TypeError, UnicodeEncodeError, error):
            found.append(_any_trace(row))
    return found


def _any_trace(row: Values) -> bytes:
    """The leaf of a trace with ids of its own, or with values of other types than the engine writes."""
    hashes = bytes(row[7]) if isinstance(row[7], bytearray) else row[7]
    return leaf("trace", [*row[:7], hashes, _any_content(row[8], row[9]), *row[10:]])


def _any_content(payload: Any, deltas: Any) -> bytes:
    if isinstance(payload, str | None) and isinstance(deltas, str | None):
        try:
            return content_hash(payload, deltas)
        except UnicodeEncodeError:
            pass
    return sha256(b"odd" + encode([payload, deltas])).digest()
