"""Which records a head's new leaves are: the keys, packed, as `tree_heads.leaf_keys` holds them.

A list of sections in the order of the leaves: ``[kind, number of leaves, column, column …]``, with
a column for each part of the key and, where records may be restated, one with their values. A
column of integers is kept as ``{"d": differences}``, which compresses to almost nothing. The packed list is a
leaf itself, the last one of its head.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import sub
from typing import Any
from zlib import compress, decompressobj
from zlib import error as ZlibError  # a class, whatever its name

import orjson

_MOST = 1 << 30


class IndexUnreadableError(ValueError):
    """The bytes are no index: somebody changed them."""


@dataclass(frozen=True, slots=True)
class Section:
    """Leaves of one kind, in a row. ``contents`` are their values where records are restated."""

    kind: str
    columns: Sequence[Sequence[Any]]
    contents: Sequence[Any] | None = None

    @classmethod
    def of(
        cls, kind: str, keys: Sequence[tuple[Any, ...]], contents: Sequence[Any] | None = None
    ) -> "Section":
        return cls(kind, list(zip(*keys, strict=True)), contents)

    def __len__(self) -> int:
        return len(self.columns[0])

    def keys(self) -> Iterator[tuple[Any, ...]]:
        return zip(*self.columns, strict=True)


def pack(sections: Sequence[Section]) -> bytes:
    """The stored form."""
    document = [
        [section.kind, len(section), section.contents, *map(_put, section.columns)] for section in sections
    ]
    return compress(orjson.dumps(document), 1)


def unpack(stored: bytes, *, without_traces: bool = False) -> list[Section]:
    """The sections again. Raises IndexUnreadableError for anything that `pack` did not make.

    ``without_traces``: what is said of traces is only how many they are, for who looks for others.
    """
    try:
        opened = decompressobj()
        document = orjson.loads(opened.decompress(stored, _MOST))
        if opened.unused_data or not opened.eof:
            raise IndexUnreadableError("there is more, or less, than there should be")
        if without_traces:
            document = [[*part[:3], range(part[1])] if part[0] == "trace" else part for part in document]
        return [_section(*part) for part in document]
    except (ZlibError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise IndexUnreadableError(str(error)) from error


def _section(kind: Any, count: Any, contents: Any, *columns: Any) -> Section:
    got = [_get(column) for column in columns]
    same = all(len(column) == count for column in got) and (contents is None or len(contents) == count)
    if not isinstance(kind, str) or not got or not same:
        raise IndexUnreadableError("a section is not whole")
    return Section(kind, got, contents)


def _put(column: Sequence[Any]) -> Any:
    if column and all(type(value) is int for value in column):
        return {"d": [column[0], *map(sub, column[1:], column)]}
    return column


def _get(column: Any) -> Sequence[Any]:
    if isinstance(column, range):
        return column
    return list(accumulate(column["d"])) if isinstance(column, dict) else list(column)
