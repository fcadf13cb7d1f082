"""Regular expressions whose running time is bounded.

RE2 matches in time linear in the text, whatever the pattern: no pattern and no row can hang a run, and
unlike a time limit the answer never depends on how busy the machine is. The price: no look-around and no
backreferences, and ``\\w``, ``\\d``, ``\\s`` and ``\\b`` know ASCII only.
"""

import re
from typing import Protocol

import re2  # type: ignore[import-untyped]
from pydantic_core import PydanticCustomError

_ASCII_BOUNDARY = re.compile(r"(?<!\\)(?:\\\\)*\\[bB]")


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> object | None:
        """A match, or None. Raises UnicodeEncodeError for lone surrogates."""


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern of RE2's syntax; options such as ``(?i)`` go into the text.

    Raises ValueError (text for readers) if RE2 does not take it.
    """
    if not text.isascii() and _ASCII_BOUNDARY.search(text):
        raise ValueError(
            f"the pattern {text!r} has \\b beside letters beyond ASCII, which \\b does not take for letters; "
            r"write (?:^|\PL) and (?:\PL|$) instead"
        )
    options = re2.Options()
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(text, options)
    except re2.error as error:
        detail = error.args[0]
        cause = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(
            f"the pattern {text!r} cannot be used: {cause} (RE2 syntax: no look-around, no backreferences)"
        ) from error
    return compiled


def checked_pattern(text: str) -> str:
    """For options models: the text itself if it compiles. Raises PydanticCustomError."""
    try:
        compile_pattern(text)
    except ValueError as error:
        raise PydanticCustomError("pattern", "{what}", {"what": str(error)}) from error
    return text
