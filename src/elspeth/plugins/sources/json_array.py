"""The elements of a JSON array of any size, one at a time."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from elspeth.contracts.errors import SourceError
from elspeth.plugins.sources.blocks import Encoding
from elspeth.plugins.sources.json_values import ExactDecoder

_BLOCK_BYTES = 256 * 1024
_MARGIN = 64
"""A token may be cut in two at the end of what was read so far; none but a string is longer."""
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its value, or its text and what is wrong with it."""

    value: dict[str, Any] | None
    text: str = ""
    fault: str = ""


class ArrayReader:
    """Reads the objects in the top-level array, or in the array under ``keys``.

    A top-level object without ``keys`` is one element. Raises SourceError where the text is not JSON:
    what comes behind can't be told from what is broken.
    """

    def __init__(self, path: Path, encoding: Encoding, decoder: ExactDecoder, max_chars: int) -> None:
        self._path = path
        self._encoding = encoding
        self._decoder = decoder
        self._max_chars = max_chars
        self._incremental = codecs.getincrementaldecoder(encoding.codec)()
        self._text = ""
        self._at = 0
        self._dropped = 0
        self._ended = False
        self._clean = True

    def elements(self, keys: tuple[str, ...] = ()) -> Iterator[Element]:
        """All elements, in order."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._encoding.bom_bytes)
                yield from self._elements(file, keys)
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read on: {error.strerror}") from error

    def _elements(self, file: BinaryIO, keys: tuple[str, ...]) -> Iterator[Element]:
        first = self._peek(file)
        if not first:
            return
        for key in keys:
            self._enter(file, key)
        opening = self._peek(file)
        if opening == "{" and not keys:
            yield self._element(file)
        elif opening == "[":
            self._at += 1
            yield from self._members(file)
        else:
            where = f"the value of {'.'.join(keys)!r}" if keys else "the file"
            raise self._broken(
                f"{where} is not an array", "set data_key to the key that holds the array of rows"
            )
        if not keys and self._peek(file):
            raise self._broken(
                "there is more text behind the end of the JSON value",
                "if every line is a JSON object of its own, set format: jsonl",
            )

    def _members(self, file: BinaryIO) -> Iterator[Element]:
        if self._peek(file) == "]":
            self._at += 1
            return
        while True:
            yield self._element(file)
            after = self._peek(file)
            if after not in (",", "]"):
                raise self._broken("the array breaks off" if not after else "a comma or ] is missing")
            self._at += 1
            if after == "]":
                return

    def _enter(self, file: BinaryIO, wanted: str) -> None:
        """Move to the value of a key of the object that begins here."""
        seen = []
        if self._peek(file) != "{":
            raise self._broken(f"there is no object to find {wanted!r} in", "check data_key")
        while self._peek(file) in ("{", ","):
            self._at += 1
            if self._peek(file) == "}":
                break
            key, self._at = self._value(file)
            if self._peek(file) != ":":
                raise self._broken("a colon is missing")
            self._at += 1
            self._peek(file)
            if key == wanted:
                return
            seen.append(str(key))
            _, self._at = self._value(file)
        raise self._broken(f"there is no key {wanted!r}; there are: {', '.join(seen)}", "check data_key")

    def _peek(self, file: BinaryIO) -> str:
        """The next character that is not a space, moved to; empty at the end of the file."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._fill(file)

    def _element(self, file: BinaryIO) -> Element:
        self._peek(file)
        try:
            value, end = self._value(file)
        except (RecursionError, ValueError) as error:
            end = self._end_of_value(file)
            text = self._text[self._at : end]
            fault = "is nested too deep" if isinstance(error, RecursionError) else f"cannot be read: {error}"
        else:
            text = self._text[self._at : end]
            fault = self._decoder.fault(value, text, clean=self._clean)
        self._at = end
        if fault:
            return Element(None, text if self._clean else self._encoding.readable(text), fault)
        return Element(value)

    def _value(self, file: BinaryIO) -> tuple[Any, int]:
        while True:
            try:
                value, end = self._decoder.decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _MARGIN
                if self._ended or not cut:
                    self._at = error.pos
                    raise self._broken(error.msg) from None
            else:
                closed = isinstance(value, (dict, list, str))
                if closed or self._ended or end + _MARGIN < len(self._text):
                    return value, end
            self._fill(file)

    def _end_of_value(self, file: BinaryIO) -> int:
        """Where the array or object that begins here ends, however deep it is."""
        while True:
            depth = 0
            for token in _TOKENS.finditer(self._text, self._at):
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
                if depth == 0:
                    return token.end()
            if self._ended:
                raise self._broken("the array breaks off")
            self._fill(file)

    def _fill(self, file: BinaryIO) -> None:
        """Read on: as much again as is still wanted, so that long values don't cost time squared."""
        left = len(self._text) - self._at
        if left > self._max_chars:
            raise self._broken(
                f"a value is longer than max_field_bytes ({self._max_chars:,})", "raise max_field_bytes"
            )
        data = file.read(max(_BLOCK_BYTES, left))
        self._ended = not data
        self._dropped += self._at
        self._text = self._text[self._at :] + self._decode(data)
        self._at = 0

    def _decode(self, data: bytes) -> str:
        state = self._incremental.getstate()
        try:
            return self._incremental.decode(data, final=not data)
        except UnicodeDecodeError:
            # From here on values are looked at one by one; only those with bad bytes are refused.
            self._clean = False
            self._incremental.setstate(state)
            self._incremental.errors = "surrogateescape"
            return self._incremental.decode(data, final=not data)

    def _broken(self, what: str, fix: str = "") -> SourceError:
        near = self._encoding.readable(self._text[self._at : self._at + 40])
        return SourceError(
            f"{self._path}: {what}, at character {self._dropped + self._at:,}, near {near!r}",
            fix=fix or "repair the file here; the rows before this place are good",
        )
