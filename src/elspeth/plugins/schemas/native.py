"""Values from drivers and file formats as the plain values that rows are made of."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

_PLAIN = frozenset({str, int, bool, bytes, type(None), date, datetime, UUID})


def native_value(value: Any) -> Any:
    """The value in a form that can be recorded exactly.

    Times become ISO text, durations ISO 8601 text (``PT90.5S``), tuples and sets lists, mappings
    dicts. Raises ValueError for NaN, infinity and whatever is not data.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (float, Decimal):
        if not isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        return value
    if isinstance(value, Mapping):
        return {_key(key): native_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [native_value(item) for item in value]
    return _converted(value)


def _converted(value: Any) -> Any:
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, timedelta):
        micros = value // timedelta(microseconds=1)
        sign, micros = ("-", -micros) if micros < 0 else ("", micros)
        seconds, rest = divmod(micros, 1_000_000)
        return f"{sign}PT{seconds}{f'.{rest:06d}'.rstrip('0') if rest else ''}S"
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    for plain in (bool, int, str, float, datetime, date):
        if isinstance(value, plain):
            return value
    raise ValueError(f"a {type(value).__name__} is not data that can be recorded")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"the key {key!r} is not text")
    return key


def native_row(row: Mapping[str, Any]) -> tuple[dict[str, Any], str | None, str]:
    """The row, and the field and the reason if a value can't be recorded (it is then its text)."""
    done: dict[str, Any] = {}
    culprit: str | None = None
    reason = ""
    for name, value in row.items():
        try:
            done[name] = native_value(value)
        except ValueError as error:
            done[name] = repr(value)
            culprit, reason = name, f"field {name!r}: {error}"
    return done, culprit, reason
