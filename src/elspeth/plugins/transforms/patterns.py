"""Regular expressions whose running time is bounded.

RE2 matches in time linear in the text, whatever the pattern: no pattern and no row can hang a run, and
unlike a time limit the answer never depends on how busy the machine is. The price: no look-around and no
backreferences, and ``\\w``, ``\\d``, ``\\s`` and ``\\b`` know ASCII only.
"""

import re
from typing import Protocol

import re2  # type: ignore[import-untyped]

from elspeth.core.config.models_base import broken_rule

_ASCII_BOUNDARY = re.compile(r"(?<!\\)(?:\\\\)*\\[bB]")


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> object | None:
        """A match, or None. Raises UnicodeEncodeError for lone surrogates."""


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern of RE2's syntax; options such as ``(?i)`` go into the text.

    Raises `broken_rule` (a ValueError) if RE2 does not take it, or would not do what it seems to say.
    """
    if not text.isascii() and _ASCII_BOUNDARY.search(text):
        raise broken_rule(
            f"the pattern '{text}' has \\b and letters beyond ASCII, which \\b does not take for letters",
            fix=r"write (?:^|\PL) in front of a word and (?:\PL|$) behind it",
        )
    options = re2.Options()
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(text, options)
    except re2.error as error:
        detail = error.args[0]
        cause = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise broken_rule(
            f"the pattern '{text}' cannot be used: {cause}",
            fix="write it in RE2's syntax, which has no look-around and no backreferences",
        ) from error
    return compiled


def checked_pattern(text: str) -> str:
    """For options models: the text itself, if it compiles."""
    compile_pattern(text)
    return text
