"""Anchors: heads written where whoever can change the database can't change them.

A head is anchored as soon as its commit stands. So an anchor may lack the last head after a crash; it
never has one that the database lacks, unless somebody took that away.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson

from elspeth.contracts.errors import LandscapeError, NotFoundError, UsageError
from elspeth.core.landscape.ledger.heads import Checkpoint, Head, NoteError, parse_note


class Anchor(Protocol):
    """A place for heads outside the database: a file, a log collector, a store that only takes."""

    def put(self, head: Head) -> None:
        """Keep a head. Raises LandscapeError if that can't be done; the commit stands nevertheless."""


@dataclass(frozen=True, slots=True)
class FileAnchor:
    """A file that heads are appended to, one JSON object per line, each flushed to the disk."""

    path: Path

    def put(self, head: Head) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            place = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(place, anchor_line(head))
                os.fsync(place)
            finally:
                os.close(place)
        except OSError as error:
            raise LandscapeError(
                f"the head can't be anchored in {self.path}: {error.strerror}",
                fix="see to landscape.anchor; the record itself is safe, go on with `elspeth resume`",
            ) from error


@dataclass(frozen=True, slots=True)
class StdoutAnchor:
    """Heads as JSON lines on stdout, for whoever collects a container's output."""

    def put(self, head: Head) -> None:
        sys.stdout.write(anchor_line(head).decode())
        sys.stdout.flush()


def anchor_of(setting: str) -> Anchor:
    """The anchor that a setting names: ``stdout``, or a path."""
    return StdoutAnchor() if setting in ("stdout", "-") else FileAnchor(Path(setting))


def anchor_line(head: Head) -> bytes:
    """An anchored head: run, size, root and the note that says the same."""
    return orjson.dumps(
        {
            "origin": head.origin,
            "head": head.head_no,
            "size": head.size,
            "root": head.root.hex(),
            "note": head.note,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def read_anchors(path: str | os.PathLike[str]) -> Iterator[Checkpoint]:
    """The heads in an anchor file; lines of other things are passed over, as a log has them.

    A last line without an end was being written as something crashed, and is passed over too.
    Raises NotFoundError, or UsageError if the file can't be read or holds a head that is torn.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no anchor file at {path}") from error
    except OSError as error:
        raise UsageError(f"the anchor file {path} can't be read: {error.strerror}") from error
    yield from anchored_heads(lines, f"the anchor file {path}")


def anchored_heads(lines: Iterable[bytes], where: str) -> Iterator[Checkpoint]:
    """The heads in these lines, other things passed over. Raises UsageError for a head that is torn."""
    for number, line in enumerate(lines, start=1):
        if not line.startswith(b'{"origin":"elspeth/'):
            continue
        try:
            found = orjson.loads(line)
            checkpoint = parse_note(found["note"])
        except (orjson.JSONDecodeError, NoteError, KeyError, TypeError) as error:
            raise UsageError(f"line {number} of {where} holds no head: {error}") from error
        stated = (found.get("origin"), found.get("size"), found.get("root"))
        if stated != (checkpoint.origin, checkpoint.size, checkpoint.root.hex()):
            raise UsageError(f"line {number} of {where} contradicts itself")
        yield checkpoint
