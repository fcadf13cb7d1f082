"""Text and native values into declared types: exactly, or not at all.

Every ``*_column`` function turns a whole column of non-empty text cells at C speed and raises one of
`MISFIT` if any of them does not fit; every ``*_value`` function turns one value and raises
ValueError with the reason. The column functions may refuse what the value functions accept.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from elspeth.contracts.schema import FieldType

MISFIT = (ValueError, KeyError, ArithmeticError)

MAX_DIGITS = 4300
"""Longer integers are refused: Python itself will not print them."""

_MAX_EXPONENT = 10_000
_INT = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:s?nan|inf|infinity)[0-9]*", re.IGNORECASE)
_BEYOND_MICROSECONDS = re.compile(r"[.,][0-9]{6}[0-9]*[1-9]")
_BOOLS = {
    spelling: value
    for words, value in ((("true", "yes", "1"), True), (("false", "no", "0"), False))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
_SHOWN = 60


def shown(value: object) -> str:
    """The value for a message, cut to a length that can be read."""
    if isinstance(value, str):
        value = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN * 2 else text[: _SHOWN * 2] + "…"


def _plain(cells: Sequence[str]) -> str:
    """All cells as one text; refuses what Python reads as digits but people don't write."""
    joined = "".join(cells)
    if "_" in joined or not joined.isascii():
        raise ValueError("not plain")
    return joined


def int_column(cells: Sequence[str]) -> list[Any]:
    _plain(cells)
    return list(map(int, cells))


def float_column(cells: Sequence[str]) -> list[Any]:
    _plain(cells)
    values = list(map(float, cells))
    if not isfinite(sum(values)):
        raise ValueError("not finite")
    return values


def bool_column(cells: Sequence[str]) -> list[Any]:
    return list(map(_BOOLS.__getitem__, cells))


def decimal_column(cells: Sequence[str]) -> list[Any]:
    # An exponent or a NaN has a letter: those go one by one.
    if _plain(cells).upper() != _plain(cells).lower():
        raise ValueError("not plain")
    return list(map(Decimal, cells))


def date_column(cells: Sequence[str]) -> list[Any]:
    return list(map(date.fromisoformat, cells))


def datetime_column(cells: Sequence[str]) -> list[Any]:
    if _BEYOND_MICROSECONDS.search("\n".join(cells)):
        raise ValueError("too fine")
    return list(map(datetime.fromisoformat, cells))


def str_column(cells: Sequence[str]) -> list[Any]:
    return list(cells)


COLUMNS: dict[FieldType, Callable[[Sequence[str]], list[Any]]] = {
    FieldType.STR: str_column,
    FieldType.INT: int_column,
    FieldType.FLOAT: float_column,
    FieldType.BOOL: bool_column,
    FieldType.DECIMAL: decimal_column,
    FieldType.DATE: date_column,
    FieldType.DATETIME: datetime_column,
    FieldType.ANY: str_column,
}


def int_value(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.strip()
        if not _INT.fullmatch(text):
            raise ValueError(f"{shown(value)} is not a whole number")
        if len(text) > MAX_DIGITS:
            raise ValueError(
                f"a whole number of {len(text):,} digits is too long (the limit is {MAX_DIGITS:,})"
            )
        return int(text)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, Decimal) and _is_whole(value):
        return int(value)
    raise ValueError(f"{shown(value)} is not a whole number")


def _is_whole(value: Decimal) -> bool:
    # An exponent beyond that would be written out as so many digits.
    return value.is_finite() and value.adjusted() < MAX_DIGITS and value == value.to_integral_value()


def float_value(value: object) -> float:
    if isinstance(value, str):
        text = value.strip()
        if _NOT_FINITE.fullmatch(text):
            raise ValueError(f"{shown(value)} is not a finite number")
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{shown(value)} is not a number")
        number = float(text)
    elif isinstance(value, (float, Decimal)):
        number = float(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = _float_of_int(value)
    else:
        raise ValueError(f"{shown(value)} is not a number")
    if not isfinite(number):
        raise ValueError(f"{shown(value)} is not a finite number")
    return number


def _float_of_int(value: int) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("the whole number is too large for a float") from None
    if int(number) != value:
        raise ValueError(f"{shown(value)} would lose digits as a float: declare it int or decimal")
    return number


def bool_value(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    if isinstance(value, str) and (found := _BOOLS.get(value.strip().lower())) is not None:
        return found
    raise ValueError(f"{shown(value)} is not true or false (nor yes, no, 1, 0)")


def decimal_value(value: object) -> Decimal:
    if isinstance(value, str):
        text = value.strip()
        if _NOT_FINITE.fullmatch(text):
            raise ValueError(f"{shown(value)} is not a finite number")
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{shown(value)} is not a decimal number")
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError(f"the exponent of {shown(value)} is out of range") from None
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, float):
        number = Decimal(repr(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    else:
        raise ValueError(f"{shown(value)} is not a decimal number")
    if not number.is_finite():
        raise ValueError(f"{shown(str(value))} is not a finite number")
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"the exponent of {shown(str(value))} is out of range (±{_MAX_EXPONENT:,})")
    return number


def date_value(value: object) -> date:
    if isinstance(value, datetime):
        if value.tzinfo is None and value == datetime.combine(value.date(), datetime.min.time()):
            return value.date()
        raise ValueError(f"{value.isoformat()} has a time of day: declare it datetime")
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            pass
    raise ValueError(f"{shown(value)} is not an ISO date such as 2024-01-31")


def datetime_value(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, datetime.min.time())
    if isinstance(value, str):
        text = value.strip()
        if _BEYOND_MICROSECONDS.search(text):
            raise ValueError(f"{shown(value)} is finer than a microsecond: declare it str to keep it")
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError(f"{shown(value)} is not an ISO date and time such as 2024-01-31T12:00:00+01:00")


def str_value(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    raise ValueError(f"a {type(value).__name__} is not text")


def any_value(value: object) -> object:
    return value


VALUES: dict[FieldType, Callable[[object], Any]] = {
    FieldType.STR: str_value,
    FieldType.INT: int_value,
    FieldType.FLOAT: float_value,
    FieldType.BOOL: bool_value,
    FieldType.DECIMAL: decimal_value,
    FieldType.DATE: date_value,
    FieldType.DATETIME: datetime_value,
    FieldType.ANY: any_value,
}

NATIVE: dict[FieldType, type] = {
    FieldType.STR: str,
    FieldType.INT: int,
    FieldType.BOOL: bool,
    FieldType.DATE: date,
    FieldType.DATETIME: datetime,
}
"""Types whose native values need no look at each value."""
