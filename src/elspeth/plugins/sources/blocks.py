"""Text files in blocks of whole lines, with byte offsets that a later run can start from."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import BinaryIO

from elspeth.contracts.errors import SourceError

BLOCK_BYTES = 128 * 1024
_HEAD_CHARS = 200
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of one file are read: codec, bytes to leave out at the start, and its line end."""

    codec: str
    bom_bytes: int
    newline: bytes

    def decode(self, data: bytes) -> tuple[str, bool]:
        """The text, and whether all of it could be decoded (else bad bytes are lone surrogates)."""
        try:
            return data.decode(self.codec), True
        except UnicodeDecodeError:
            return data.decode(self.codec, "surrogateescape"), False

    def size(self, text: str) -> int:
        """How many bytes of the file this text came from."""
        return len(text) if text.isascii() and len(self.newline) == 1 else len(self.raw(text))

    def raw(self, text: str) -> bytes:
        """The bytes of the file that this text came from."""
        return text.encode(self.codec, "surrogateescape")

    def readable(self, text: str) -> str:
        r"""The same with undecodable bytes as ``\xNN``: fit for a record."""
        if text.isascii():
            return text
        return self.raw(text).decode(self.codec, "backslashreplace")

    def bad_byte(self, text: str) -> tuple[int, int] | None:
        """Offset (in the text's bytes) and value of the first byte that is not in this encoding."""
        data = self.raw(text)
        try:
            data.decode(self.codec)
        except UnicodeDecodeError as error:
            return error.start, data[error.start]
        return None


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines. ``clean`` is False if bytes could not be decoded.

    ``too_long`` is 0, or the size in bytes of a line beyond the limit; ``text`` is then its head.
    """

    offset: int
    line: int
    text: str
    lines: tuple[str, ...]
    clean: bool = True
    too_long: int = 0


_NO_TEXT = (
    (b"\x1f\x8b", "compressed (gzip)", "unpack it first: gunzip --keep FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unpack it first: zstd -d FILE"),
    (b"\xfd7zXZ\x00", "compressed (xz)", "unpack it first: xz -dk FILE"),
    (b"PK\x03\x04", "a zip archive or a workbook", "unpack it, or save the sheet as CSV"),
    (b"PAR1\x15", "a Parquet file", "write `plugin: parquet`"),
    (b"SQLite format 3\x00", "an SQLite database", "write `plugin: database`"),
    (b"%PDF-", "a PDF", "take the text out of it first"),
)
"""How files begin that somebody may take for text: with what they are, and what to do about it."""


def detect_encoding(path: Path, declared: str) -> Encoding:
    """Look at the start of a file. Raises SourceError if it can't be what was declared."""
    try:
        codec = codecs.lookup(declared).name
    except LookupError:
        raise SourceError(
            f"unknown encoding {declared!r}", fix="use a name such as utf-8, cp1252, latin-1 or utf-16"
        ) from None
    with open(path, "rb") as file:
        head = file.read(BLOCK_BYTES)
    for signature, what, fix in _NO_TEXT:
        if head.startswith(signature):
            raise SourceError(f"{path} is {what}, not text", fix=fix)
    family = codec.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    bom_bytes = 0
    for bom, marked in _BOMS:
        if head.startswith(bom):
            if not marked.startswith(family):
                if marked == "utf-8":
                    break
                raise SourceError(
                    f"{path} starts with a {marked[:6].upper()} byte order mark, but is read as {declared}",
                    fix=f"set encoding: {marked[:6]}",
                )
            codec, bom_bytes = marked, len(bom)
            break
    else:
        # Without a mark the bare names mean this machine's byte order, as in Python.
        codec = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(codec, codec)
    newline, carriage_return = "\n".encode(codec), "\r".encode(codec)
    return Encoding(
        codec, bom_bytes, newline if newline in head or carriage_return not in head else carriage_return
    )


class BlockReader:
    """Reads one file block by block; each block ends where a line ends."""

    def __init__(self, path: Path, encoding: Encoding, max_line_bytes: int) -> None:
        self._path = path
        self.encoding = encoding
        self._limit = max_line_bytes

    def blocks(self, offset: int, line: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
        """All blocks from a byte offset on, which must be the start of a line. Raises SourceError."""
        try:
            with open(self._path, "rb") as file:
                offset = max(offset, self.encoding.bom_bytes)
                file.seek(offset)
                for data, too_long in self._cut(file, block_bytes):
                    block = self._block(data, offset, line, too_long)
                    yield block
                    offset += too_long or len(data)
                    line += 1 if too_long else len(block.lines)
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read on: {error.strerror}") from error

    def _block(self, data: bytes, offset: int, line: int, too_long: int) -> Block:
        try:
            text, clean = self.encoding.decode(data)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self._path}: the bytes at offset {offset + error.start:,} are not {self.encoding.codec}",
                fix="set encoding to what the file was written in",
            ) from None
        if too_long:
            return Block(offset, line, text[:_HEAD_CHARS], (), clean, too_long)
        return Block(offset, line, text, tuple(StringIO(text, newline="")), clean)

    def _cut(self, file: BinaryIO, block_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Pieces that end at a line end, as (bytes, 0); too long lines as (head, size)."""
        pending = bytearray()
        searched = 0
        while data := file.read(block_bytes):
            pending += data
            end = self._last_line_end(pending, searched)
            if end:
                yield bytes(pending[:end]), 0
                del pending[:end]
            searched = len(pending)
            if searched > self._limit:
                head = bytes(pending[: _HEAD_CHARS * 4])
                size, pending = self._skip_line(file, searched)
                yield head, size
                searched = 0
        if pending:
            yield bytes(pending), 0

    def _last_line_end(self, data: bytearray, searched: int) -> int:
        """Where the last whole line ends; 0 if no line ends after ``searched``."""
        newline = self.encoding.newline
        width = len(newline)
        start = max(searched - width, 0)
        at = data.rfind(newline, start)
        while at >= 0 and at % width:
            at = data.rfind(newline, start, at + width - 1)
        return at + width if at >= 0 else 0

    def _skip_line(self, file: BinaryIO, size: int) -> tuple[int, bytearray]:
        """Read on to the end of a line; its size in all, and what was read behind it."""
        newline = self.encoding.newline
        width = len(newline)
        while data := file.read(BLOCK_BYTES):
            at = data.find(newline)
            while at >= 0 and (size + at) % width:
                at = data.find(newline, at + 1)
            if at >= 0:
                return size + at + width, bytearray(data[at + width :])
            size += len(data)
        return size, bytearray()
