"""Rows as JSON text, exactly: numbers keep all their digits."""

from base64 import b64encode
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any

import orjson

_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS
)


def encode_row(row: dict[str, Any]) -> bytes:
    """One row as compact JSON on one line.

    Integers and decimals are number literals with all their digits; dates and times ISO 8601; bytes
    base64; UUIDs text. Raises ValueError with the field's name for what JSON can't hold.
    """
    try:
        data = orjson.dumps(row, default=_default, option=_OPTIONS)
        # orjson writes NaN as null: where there is a null, look what it was.
        if b"null" not in data:
            return data
    except (TypeError, ValueError):
        pass
    return orjson.dumps({name: _spelt(value, name) for name, value in row.items()})


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("not finite")
        return orjson.Fragment(str(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _spelt(value: Any, path: str) -> Any:
    """The same value for orjson, part by part: slow, but it takes any integer and names the culprit."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return orjson.Fragment(str(value))
    if isinstance(value, (float, Decimal)) and not isfinite(value):
        raise ValueError(f"field {path!r}: {value} is not a JSON number")
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return _spelt_text(value, path)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"field {path!r}: the key {key!r} is not text")
        return {_spelt_text(key, path): _spelt(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelt(item, f"{path}[{index}]") for index, item in enumerate(value)]
    try:
        return orjson.Fragment(orjson.dumps(value, default=_default, option=_OPTIONS))
    except (TypeError, ValueError):
        raise ValueError(f"field {path!r}: a {type(value).__name__} has no form in JSON") from None


def _spelt_text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"field {path!a}: {value[error.start]!a} is a lone surrogate") from None
    return value
