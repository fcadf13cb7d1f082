"""Values, counts, sizes and times as people read them."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_SHORT = 48
_SIZES = ("kB", "MB", "GB", "TB")


def printable(text: object) -> str:
    """Text with everything escaped that is not printable, so that data can't steer a terminal."""
    string = str(text)
    if string.isprintable():
        return string
    return "".join(char if char.isprintable() else _escaped(char) for char in string)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def value(given: Any, width: int = _SHORT) -> str:
    """One value of a row: texts in quotes, so that ``'12'`` and ``12`` differ; cut short with its length."""
    if isinstance(given, str):
        return _text(given, width)
    if given is None:
        return "none"
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, bytes | bytearray):
        return f"<{quantity(len(given), 'byte')}>"
    if isinstance(given, Mapping | list | tuple):
        text = printable(_nested(given))
        return text if len(text) <= width else f"{text[: width - 1]}… ({quantity(len(given), 'item')})"
    text = printable(given)
    return text if len(text) <= width else f"{text[: width - 1]}… ({quantity(len(text), 'character')})"


def _text(text: str, width: int) -> str:
    if len(text) <= width:
        return repr(text)
    return f"{repr(text[: width - 1])[:-1]}…' ({quantity(len(text), 'character')})"


def _nested(given: Any) -> str:
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{name}: {value(item)}" for name, item in given.items()) + "}"
    return "[" + ", ".join(value(item) for item in given) + "]"


def place(path: str) -> str:
    """A path as seen from the working directory if it lies below it, else as it is."""
    here = f"{os.getcwd().rstrip(os.sep)}{os.sep}"
    return path.removeprefix(here)


def number(count: int) -> str:
    """``1234567`` → ``1,234,567``."""
    return f"{count:,}"


def quantity(count: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: int | None) -> str:
    """Bytes in the unit that gives three figures; – for unknown."""
    if count is None:
        return "–"
    if count < 1_000:
        return f"{count} B"
    amount = float(count)
    for unit in _SIZES:
        amount /= 1_000
        if amount < 999.5 or unit == _SIZES[-1]:
            return f"{amount:.3g} {unit}" if amount < 100 else f"{amount:,.0f} {unit}"
    raise AssertionError("unreachable")


def duration(seconds: float | None) -> str:
    """A time span with its unit: ``12 µs``, ``3.4 ms``, ``2.50 s``, ``1:05 min``; – for unknown."""
    if seconds is None:
        return "–"
    if seconds < 0.000_999_5:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.999_5:
        return f"{seconds * 1e3:.3g} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"
    return f"{clock(seconds)} {'h' if seconds >= 3600 else 'min'}"


def clock(seconds: float) -> str:
    """``65`` → ``1:05``, ``7205`` → ``2:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(time: datetime | None) -> str:
    """A point in time to the second, in its own zone; – for unknown."""
    if time is None:
        return "–"
    return time.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
