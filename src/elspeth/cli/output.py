"""The two streams: data on stdout, everything else on stderr. Loads nothing heavy."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from elspeth.contracts.errors import UsageError


def prepare_streams() -> None:
    """Make sure that no character can break the output: what a stream can't encode is escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def emit_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(document, ensure_ascii=not unicode, indent=2, allow_nan=False)
    sys.stdout.write(f"{text}\n")


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(f"{text}\n")


def note(text: str, *, end: str = "\n") -> None:
    """Print a line on stderr. If nobody reads it, that must not end what we are doing."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}{end}")
        sys.stderr.flush()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole. Raises UsageError where it can't be written."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a directory")
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}", fix="name another file") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def silence(stream: TextIO) -> None:
    """Let everything that is still to be written to a closed pipe go nowhere, without a word."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
