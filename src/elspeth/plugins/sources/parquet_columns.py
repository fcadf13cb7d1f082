"""Arrow columns as plain values, without losing anything."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from elspeth.contracts.schema import FieldSpec, FieldType


def field_specs(schema: pa.Schema, names: Sequence[str], mapping: Mapping[str, str]) -> list[FieldSpec]:
    """The columns as fields; all of them may be null."""
    return [
        FieldSpec(mapping.get(name, name), _field_type(schema.field(name).type), required=False)
        for name in names
    ]


def _field_type(kind: pa.DataType) -> FieldType:
    types = pa.types
    if types.is_dictionary(kind):
        return _field_type(kind.value_type)
    if types.is_timestamp(kind):
        # Finer instants than a microsecond come as text.
        return FieldType.ANY if kind.unit == "ns" else FieldType.DATETIME
    for applies, field in (
        (types.is_boolean, FieldType.BOOL),
        (types.is_integer, FieldType.INT),
        (types.is_floating, FieldType.FLOAT),
        (types.is_decimal, FieldType.DECIMAL),
        (types.is_date, FieldType.DATE),
        (types.is_string, FieldType.STR),
        (types.is_large_string, FieldType.STR),
        (types.is_time, FieldType.STR),
        (types.is_duration, FieldType.STR),
    ):
        if applies(kind):
            return field
    return FieldType.ANY


def batch_rows(batch: pa.RecordBatch, mapping: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a batch as dicts of Python values."""
    names = [mapping.get(name, name) for name in batch.schema.names]
    columns = [column_values(column) for column in batch.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def column_values(column: pa.Array) -> list[Any]:
    """The values of one column. Maps are dicts; instants keep their zone, and all their digits."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return _fine_instants(column)
    if pa.types.is_time64(kind) or pa.types.is_duration(kind):
        column = column.cast(pa.time64("us") if pa.types.is_time64(kind) else pa.duration("us"), safe=True)
    values: list[Any] = (
        column.to_pylist(maps_as_pydicts="strict") if pa.types.is_nested(kind) else column.to_pylist()
    )
    return values


def _fine_instants(column: pa.Array) -> list[Any]:
    """Nanoseconds: as datetimes where that is exact, as ISO text with nine digits where not."""
    coarse = pc.floor_temporal(column, unit="microsecond").cast(pa.timestamp("us", column.type.tz))
    nanos = column.cast(pa.int64()).to_pylist()
    return [
        value if value is None or total % 1000 == 0 else _text(value, total % 1000)
        for value, total in zip(coarse.to_pylist(), nanos, strict=True)
    ]


def _text(value: datetime, nanos: int) -> str:
    whole = value.replace(tzinfo=None).isoformat(timespec="microseconds")
    offset = value.strftime("%z")
    zone = f"{offset[:3]}:{offset[3:5]}" if offset else ""
    return f"{whole}{nanos:03d}{zone}"
