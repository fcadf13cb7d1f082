"""Rows into Arrow columns without losing anything: what does not fit exactly fails its row."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pyarrow as pa

from elspeth.contracts.schema import FieldType, PluginSchema, SchemaMode
from elspeth.plugins.sinks.cells import cell

_MAX_DECIMAL_DIGITS = 38
_SCALE = 9

_DECLARED = {
    FieldType.STR: pa.string(),
    FieldType.INT: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOL: pa.bool_(),
    FieldType.DECIMAL: pa.decimal128(_MAX_DECIMAL_DIGITS, _SCALE),
    FieldType.DATE: pa.date32(),
}
_NATIVE = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    date: pa.date32(),
}


def arrow_schema(schema: PluginSchema, rows: Sequence[dict[str, Any]]) -> pa.Schema:
    """The columns: those declared, then (unless fixed) those of the first rows, typed by their values."""
    kinds = {spec.name: spec.type for spec in schema.fields}
    names = dict.fromkeys(kinds)
    if schema.mode is not SchemaMode.FIXED:
        for row in rows:
            names.update(dict.fromkeys(row))
    return pa.schema(
        (
            name,
            _column_type(
                kinds.get(name, FieldType.ANY), [row[name] for row in rows if row.get(name) is not None]
            ),
        )
        for name in names
    )


def _column_type(kind: FieldType, values: list[Any]) -> pa.DataType:
    if kind is FieldType.INT and _beyond_int64(values):
        return pa.decimal128(_MAX_DECIMAL_DIGITS, 0)
    if kind is FieldType.DATETIME:
        return pa.timestamp("us", _zone(values))
    if kind in _DECLARED and kind is not FieldType.DECIMAL:
        return _DECLARED[kind]
    if not values:
        return _DECLARED.get(kind, pa.string())
    first = type(values[0])
    if first in (int, float) and any(type(value) is float for value in values):
        return pa.float64()
    if first is int and _beyond_int64(values):
        return pa.decimal128(_MAX_DECIMAL_DIGITS, 0)
    if issubclass(first, Decimal):
        return pa.decimal128(_MAX_DECIMAL_DIGITS, _scale(values))
    if issubclass(first, datetime):
        return pa.timestamp("us", _zone(values))
    if first in (dict, list):
        return _nested_type(values)
    return _NATIVE.get(first, pa.string())


def _beyond_int64(values: Iterable[Any]) -> bool:
    return any(not -(2**63) <= value < 2**63 for value in values if type(value) is int)


def _scale(values: Iterable[Any]) -> int:
    scales = [
        -int(value.as_tuple().exponent)
        for value in values
        if isinstance(value, Decimal) and value.is_finite()
    ]
    return min(max([0, *scales]), _MAX_DECIMAL_DIGITS)


def _zone(values: Iterable[Any]) -> str | None:
    """The one zone of all values; UTC if there are several (the instant is kept); None if naive."""
    zones = {
        str(value.tzinfo) for value in values if isinstance(value, datetime) and value.tzinfo is not None
    }
    if not zones:
        return None
    zone = zones.pop() if len(zones) == 1 else "UTC"
    return zone if "/" in zone and not zone.startswith("UTC") else "UTC"


def _nested_type(values: list[Any]) -> pa.DataType:
    try:
        return pa.infer_type(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.string()


class ArrowColumns:
    """Rows into record batches of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._names = frozenset(schema.names)
        self._checks = {field.name: _checker(field.type) for field in schema}

    def batch(self, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
        """All rows as one batch. Raises ValueError or TypeError if any does not fit exactly."""
        arrays = []
        for field in self.schema:
            check = self._checks[field.name]
            values = [None if (value := row.get(field.name)) is None else check(value) for row in rows]
            arrays.append(pa.array(values, type=field.type))
        return pa.record_batch(arrays, schema=self.schema)

    def fault(self, row: dict[str, Any]) -> str:
        """Why this row does not fit; empty if it does."""
        for name in row:
            if name not in self._names:
                return (
                    f"field {name!r} has no column: the columns are {', '.join(self.schema.names)}; "
                    "declare all of them in the sink's schema.fields"
                )
        for field in self.schema:
            try:
                value = row.get(field.name)
                pa.array([None if value is None else self._checks[field.name](value)], type=field.type)
            except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
                return f"field {field.name!r} does not fit a column of type {field.type}: {error}"
        return ""


def _checker(kind: pa.DataType) -> Callable[[Any], Any]:
    """What makes sure that Arrow takes a value without rounding: raises ValueError or TypeError."""
    types = pa.types
    if types.is_timestamp(kind):
        return partial(_instant, zoned=kind.tz is not None)
    for applies, check in (
        (types.is_string, _text),
        (types.is_boolean, partial(_only, (bool,))),
        (types.is_binary, partial(_only, (bytes,))),
        (types.is_date, partial(_only, (date,))),
        (types.is_integer, partial(_only, (int,))),
        (types.is_decimal, partial(_only, (int, Decimal))),
        (types.is_floating, _float),
    ):
        if applies(kind):
            return check
    return _anything


def _only(classes: tuple[type, ...], value: Any) -> Any:
    """Exactly these classes: a bool is no int, and a datetime is no date."""
    if type(value) not in classes:
        raise TypeError(f"a {type(value).__name__} is not a {classes[0].__name__}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, (str, dict, list, tuple, UUID, time)):
        return cell(value)
    raise TypeError(f"a {type(value).__name__} is not text")


def _float(value: Any) -> Any:
    if type(value) is int and int(float(value)) != value:
        raise ValueError(f"{value} would lose digits")
    return _only((float, int), value)


def _instant(value: Any, *, zoned: bool) -> Any:
    _only((datetime,), value)
    if (value.tzinfo is not None) != zoned:
        raise ValueError(f"{value.isoformat()} has {'no' if zoned else 'a'} time zone, unlike the column")
    return value


def _anything(value: Any) -> Any:
    return value
