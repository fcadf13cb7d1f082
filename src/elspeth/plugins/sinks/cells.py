"""Values of rows as text in a cell."""

import json
from base64 import b64encode
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> str:
    """The value as text.

    None is empty, booleans are ``true`` and ``false``, numbers as Python prints them, dates and
    times ISO 8601, bytes base64, nested values compact JSON. Raises TypeError for anything else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal, UUID)):
        return str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode("ascii")
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=cell, allow_nan=False)
    raise TypeError(f"a {type(value).__name__} cannot be written as text")


def escape_formula(value: Any) -> Any:
    """Text that a spreadsheet would run gets an apostrophe in front; numbers are left alone."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
