"""Segments: files of compressed texts. What is in one never changes.

Rows have one per run and commit. Calls are journaled up to 250 times a second: they share one, which grows.

All but the first text of a segment are compressed with the beginning of the first as a dictionary: the
prompts of a run are much alike, and what they have in common (a system prompt of pages) is there once.
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import zstandard

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.payloads.forms import Reference

MAGIC = b"elspeth segment 2\n"
SUFFIX = ".seg"
_LEVEL = 3
_LARGEST = 1 << 31
_SHARED = 1 << 17  # of the first text, so many bytes
_CHUNK = 1 << 16


class Segment:
    """A segment that is being written: what `put` was given is durable when it returns."""

    def __init__(self, base: Path, name: str) -> None:
        self._base = base
        self._name = name
        self._places: dict[str, Reference] = {}
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
        self.size = 0

    def put(self, texts: Sequence[str]) -> list[Reference]:
        """Where these texts are from now on; equal ones are there once.

        Raises LandscapeError when the file can't be written, or is not as long as it was left.
        """
        new: dict[str, Reference] = {}
        found, parts = [], []
        offset = self.size or len(MAGIC)
        for text in texts:
            content = text.encode()
            digest = sha256(content).hexdigest()
            place = self._places.get(digest) or new.get(digest)
            if place is None:
                parts.append(self._compressor.compress(content))
                if offset == len(MAGIC):
                    self._compressor = zstandard.ZstdCompressor(
                        level=_LEVEL, dict_data=_dictionary(content), write_content_size=True
                    )
                place = new[digest] = Reference(self._name, offset, len(parts[-1]), digest)
                offset += place.length
            found.append(place)
        try:
            self._append(b"".join(parts))
        except OSError as error:
            raise LandscapeError(
                f"the payload store can't be written: {error}",
                fix="see to the disk and to your rights, or set payload_store.base_path",
            ) from error
        self._places.update(new)
        self.size = offset
        return found

    def _append(self, content: bytes) -> None:
        path, begins = self._base / self._name, self.size == 0
        if begins:
            path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb" if begins else "r+b") as file:
            if begins:
                file.write(MAGIC)
            elif file.seek(0, os.SEEK_END) < self.size:
                raise OSError(f"{path} is shorter than it was")
            else:
                file.seek(self.size)  # over what a write that failed may have left
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if begins:
            for directory in (path.parent, self._base, self._base.parent):
                _sync(directory)


def write_segment(base: Path, segment: str, texts: Sequence[str]) -> list[Reference]:
    """Write texts to a new segment, equal ones once; durable when this returns.

    Raises LandscapeError when the file can't be written.
    """
    return Segment(base, segment).put(texts)


def read_text(path: Path, reference: Reference) -> str:
    """One text of a segment. Raises LandscapeError, with the segment, if it is not what was put there."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(MAGIC))
            first = _first_text(file) if start == MAGIC and reference.offset > len(MAGIC) else None
            file.seek(reference.offset)
            packed = file.read(reference.length)
    except zstandard.ZstdError as error:
        raise _damaged(path, "its first text, which the others build upon, can't be decompressed") from error
    except FileNotFoundError:
        raise LandscapeError(
            f"segment {reference.segment} of the payload store is missing: there is no file {path}",
            fix="restore it from a backup, or set ELSPETH_PAYLOAD_STORE__BASE_PATH to where the store is",
        ) from None
    except OSError as error:
        raise LandscapeError(f"segment {path} of the payload store can't be read: {error}") from error
    if start != MAGIC:
        raise _damaged(path, "it does not begin as a segment does")
    if len(packed) != reference.length:
        raise _damaged(path, f"it is truncated: {path.stat().st_size} bytes are left")
    try:
        if zstandard.frame_content_size(packed) > _LARGEST:
            raise zstandard.ZstdError("too large")
        shared = None if first is None else _dictionary(first)
        content = zstandard.ZstdDecompressor(dict_data=shared).decompress(packed, max_output_size=_LARGEST)
    except zstandard.ZstdError as error:
        raise _damaged(
            path, f"{reference.length} bytes at {reference.offset} can't be decompressed"
        ) from error
    if sha256(content).hexdigest() != reference.sha256:
        raise _damaged(path, f"what is at {reference.offset} has another hash than the record says")
    return content.decode()


def _dictionary(content: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(content[:_SHARED], dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _first_text(file: BinaryIO) -> bytes:
    """As much of a segment's first text as the others build upon; ``file`` is at its place."""
    opened = zstandard.ZstdDecompressor().decompressobj()
    content = b""
    while len(content) < _SHARED and not opened.eof and (chunk := file.read(_CHUNK)):
        content += opened.decompress(chunk)
    if not opened.eof and len(content) < _SHARED:
        raise zstandard.ZstdError("it is cut off")
    return content


def _damaged(path: Path, why: str) -> LandscapeError:
    return LandscapeError(
        f"segment {path} of the payload store is damaged: {why}", fix="restore it from a backup"
    )


def _sync(directory: Path) -> None:
    """Make sure that a directory's new entries outlive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
