"""Segments: files of compressed texts, one per run and commit, written once and never changed."""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import zstandard

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.payloads.forms import Reference

MAGIC = b"elspeth segment 1\n"
SUFFIX = ".seg"
_LEVEL = 3
_LARGEST = 1 << 31


def write_segment(base: Path, segment: str, texts: Sequence[str]) -> list[Reference]:
    """Write texts to a new segment, equal ones once; durable when this returns.

    Raises LandscapeError when the file can't be written.
    """
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
    path = base / segment
    places: dict[str, Reference] = {}
    found = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file:
            offset = file.write(MAGIC)
            for text in texts:
                content = text.encode()
                digest = sha256(content).hexdigest()
                if digest not in places:
                    length = file.write(compressor.compress(content))
                    places[digest] = Reference(segment, offset, length, digest)
                    offset += length
                found.append(places[digest])
            file.flush()
            os.fsync(file.fileno())
        for directory in (path.parent, base, base.parent):
            _sync(directory)
    except OSError as error:
        raise LandscapeError(
            f"the payload store can't be written: {error}",
            fix="see to the disk and to your rights, or set payload_store.base_path",
        ) from error
    return found


def read_text(path: Path, reference: Reference) -> str:
    """One text of a segment. Raises LandscapeError, with the segment, if it is not what was put there."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(MAGIC))
            file.seek(reference.offset)
            packed = file.read(reference.length)
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
        content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_LARGEST)
    except zstandard.ZstdError as error:
        raise _damaged(
            path, f"{reference.length} bytes at {reference.offset} can't be decompressed"
        ) from error
    if sha256(content).hexdigest() != reference.sha256:
        raise _damaged(path, f"what is at {reference.offset} has another hash than the record says")
    return content.decode()


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
