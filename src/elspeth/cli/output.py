"""The two streams: data on stdout, everything else on stderr. Loads nothing heavy."""

import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


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


def silence(stream: TextIO) -> None:
    """Let everything that is still to be written to a closed pipe go nowhere, without a word."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
