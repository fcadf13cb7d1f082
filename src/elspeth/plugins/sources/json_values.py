"""JSON text into values, exactly: nothing is rounded, dropped or overwritten in silence."""

import json
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

_MAX_EXPONENT = 10_000


def exact_decimal(text: str) -> Decimal:
    """A number literal as a decimal. Raises ValueError if its exponent is out of range."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = None
    if value is None or abs(value.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"the exponent of {text[:60]} is out of range (±{_MAX_EXPONENT:,})")
    return value


def exact_number(text: str) -> float | Decimal:
    """A number literal as a float if that is exact, else as a decimal.

    A float counts as exact if it prints as this number, with as few digits as needed or with 17.
    """
    if len(text) <= 16 and "e" not in text and "E" not in text:
        return float(text)
    exact = exact_decimal(text)
    value = float(text)
    if isfinite(value) and (Decimal(repr(value)) == exact or Decimal(f"{value:.17g}") == exact):
        return value
    return exact


def settle_decimals(value: Any) -> Any:
    """A value in which decimals that a float can hold exactly are floats."""
    if isinstance(value, Decimal):
        return exact_number(str(value))
    if isinstance(value, dict):
        return {key: settle_decimals(item) for key, item in value.items()}
    if isinstance(value, list):
        return [settle_decimals(item) for item in value]
    return value


class ExactDecoder:
    """Decodes values out of a text, and says what is wrong with them.

    With ``decimals``, numbers with a point are decimals as they were written (1.10 stays 1.10).
    """

    def __init__(self, max_depth: int, *, decimals: bool = False) -> None:
        self._max_depth = max_depth
        self._faults: list[str] = []
        self._decoder = json.JSONDecoder(
            parse_float=exact_decimal if decimals else exact_number,
            parse_constant=self._constant,
            object_pairs_hook=self._pairs,
        )

    def _constant(self, word: str) -> None:
        self._faults.append(f"has {word}, which is not a JSON number")

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._faults.append(f"has the key {twice!r} twice")
        return found

    def decode(self, text: str, at: int = 0) -> tuple[Any, int]:
        """The value that begins at ``at``, and where it ends.

        Raises json.JSONDecodeError for broken JSON, RecursionError and other ValueErrors for JSON
        that is too much for Python.
        """
        self._faults.clear()
        return self._decoder.raw_decode(text, at)

    def fault(self, value: Any, text: str, *, clean: bool = True) -> str:
        """Why the value decoded last, from ``text``, can't be a row; empty if it can."""
        if self._faults:
            return self._faults[0]
        if not isinstance(value, dict):
            return f"is {_kind(value)}, not an object"
        if not clean or "\\u" in text or text.count("[") + text.count("{") > self._max_depth:
            return self._examine(value)
        return ""

    def _examine(self, row: dict[str, Any]) -> str:
        """Look at every part, without recursion."""
        todo: list[tuple[Any, int, str]] = [(row, 1, "")]
        while todo:
            value, depth, field = todo.pop()
            if depth > self._max_depth:
                return f"is nested deeper than max_depth ({self._max_depth}) in field {field!r}"
            if isinstance(value, dict):
                for key, item in value.items():
                    if _has_surrogate(key):
                        return f"has a lone surrogate in the name of field {key!a}"
                    todo.append((item, depth + isinstance(item, (dict, list)), field or key))
            elif isinstance(value, list):
                todo += [(item, depth + isinstance(item, (dict, list)), field) for item in value]
            elif isinstance(value, str) and _has_surrogate(value):
                return f"has a lone surrogate in field {field!r}"
        return ""


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return "a text"
    return "true or false" if isinstance(value, bool) else "a number"
