"""Cutting content into blocks, and the names of blocks."""

import hashlib
from collections.abc import Iterable, Iterator
from io import IOBase, TextIOBase
from typing import BinaryIO

MIB = 1024 * 1024
DEFAULT_BLOCK_BYTES = 8 * MIB
MOST_BLOCKS = 50_000
BLOCK_ID_CHARS = 48
"""All block ids of one blob must be of one length: this is the one that the client library uses, too."""

Content = bytes | bytearray | memoryview | str | BinaryIO | Iterable[bytes]


def block_id(index: int, data: bytes | memoryview) -> str:
    """The name of a block: its place and what is in it. 48 characters, the same in every process.

    Because the content is part of it, a block that is found under its id has the right content.
    """
    return f"{index:08d}{hashlib.sha256(data).hexdigest()[: BLOCK_ID_CHARS - 8]}"


def known_size(data: Content) -> int | None:
    """The content's size in bytes where that can be told without reading it."""
    if isinstance(data, bytes | bytearray | memoryview):
        return len(memoryview(data).cast("B"))
    if isinstance(data, str):
        return None
    if not isinstance(data, IOBase) or not data.seekable():
        return None
    here = data.tell()
    end = data.seek(0, 2)
    data.seek(here)
    return end - here


def block_size_for(size: int | None, wanted: int) -> int:
    """``wanted``, or as much more as it takes to stay below 50,000 blocks."""
    if size is None or size <= wanted * MOST_BLOCKS:
        return wanted
    return -(-size // MOST_BLOCKS)


def cut(data: Content, block_size: int) -> Iterator[bytes | memoryview]:
    """The content in blocks of this size, the last one shorter. No more than one is held.

    Raises TypeError for a file that is open for text.
    """
    if isinstance(data, str):
        data = data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data).cast("B")
        for start in range(0, len(view), block_size):
            yield view[start : start + block_size]
        return
    if isinstance(data, TextIOBase):
        raise TypeError('the file is open for text; open it with mode "rb"')
    pieces = _pieces(data, block_size)
    held = bytearray()
    for piece in pieces:
        if not held and len(piece) == block_size:
            yield piece
            continue
        held += piece
        while len(held) >= block_size:
            yield bytes(held[:block_size])
            del held[:block_size]
    if held:
        yield bytes(held)


def _pieces(data: BinaryIO | Iterable[bytes], block_size: int) -> Iterator[bytes]:
    read = getattr(data, "read", None)
    if read is None:
        yield from data
        return
    while piece := read(block_size):
        yield piece
