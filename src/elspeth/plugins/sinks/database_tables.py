"""Tables for the ``database`` sink: made, looked up, and the count of what is committed."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Double,
    Float,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.types import JSON, TypeEngine

from elspeth.contracts.schema import FieldType, PluginSchema, SchemaMode
from elspeth.plugins.sinks.cells import cell


def make_table(
    name: str, schema: str | None, fields: PluginSchema, rows: Sequence[dict[str, Any]], *, exact: bool
) -> Table:
    """A new table: the declared columns, then (unless fixed) those of the rows.

    Where the database has no ``exact`` decimals and time zones (SQLite), those are text.
    """
    kinds = {spec.name: spec.type for spec in fields.fields}
    names = dict.fromkeys(kinds)
    if fields.mode is not SchemaMode.FIXED:
        for row in rows:
            names.update(dict.fromkeys(row))
    columns = [
        Column(
            field,
            _column_type(kinds.get(field, FieldType.ANY), [row.get(field) for row in rows], exact=exact),
        )
        for field in names
    ]
    return Table(name, MetaData(), *columns, schema=schema)


def reflect_table(connection: Connection, name: str, schema: str | None) -> Table:
    """A table as it is in the database."""
    found = Table(name, MetaData(), autoload_with=connection, schema=schema)
    if connection.dialect.name == "sqlite":
        for column in found.columns:
            # The driver would round decimals to floats; as text SQLite keeps those that a float can't hold.
            if isinstance(column.type, Numeric) and not isinstance(column.type, Float):
                column.type = Text()
    return found


def _column_type(kind: FieldType, values: Sequence[Any], *, exact: bool) -> TypeEngine[Any]:
    first = next((value for value in values if value is not None), None)
    zoned = isinstance(first, datetime) and first.tzinfo is not None
    if not exact and (
        zoned or kind is FieldType.DECIMAL or (kind is FieldType.ANY and isinstance(first, Decimal))
    ):
        return Text()
    if kind is FieldType.ANY:
        return _observed_type(values, zoned=zoned)
    by_kind: dict[FieldType, TypeEngine[Any]] = {
        FieldType.STR: Text(),
        FieldType.INT: BigInteger(),
        FieldType.FLOAT: Double(),
        FieldType.BOOL: Boolean(),
        FieldType.DECIMAL: Numeric(),
        FieldType.DATE: Date(),
        FieldType.DATETIME: DateTime(timezone=zoned),
    }
    return by_kind[kind]


def _observed_type(values: Sequence[Any], *, zoned: bool) -> TypeEngine[Any]:
    kinds = {type(value) for value in values} - {type(None)}
    for classes, kind in (
        ({bool}, Boolean()),
        ({int}, BigInteger()),
        ({int, float}, Double()),
        ({Decimal, int}, Numeric()),
        ({datetime}, DateTime(timezone=zoned)),
        ({date}, Date()),
        ({bytes}, LargeBinary()),
        ({UUID}, Uuid()),
    ):
        if kinds and kinds <= classes:
            return kind
    return Text()


def column_fault(table: Table, row: dict[str, Any]) -> str:
    """Why this row can't go into the table; empty if nothing speaks against it."""
    for name in row:
        if name not in table.columns:
            return (
                f"field {name!r} has no column: the columns are {', '.join(table.columns.keys())}; "
                "declare all of them in the sink's schema.fields, or add the column to the table"
            )
    for name, value in row.items():
        kind = table.columns[name].type
        if isinstance(value, datetime) and isinstance(kind, DateTime) and kind.timezone != bool(value.tzinfo):
            return f"field {name!r}: {value.isoformat()} and its column do not both have a time zone"
        if isinstance(value, str) and "\0" in value:
            return f"field {name!r} has a NUL character, which databases do not hold"
        if isinstance(kind, BigInteger) and isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"field {name!r}: {value} is too large for BIGINT; declare it decimal in the sink's schema"
    return ""


def sql_row(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row as the driver takes it, with every column: nested values and odd types as text."""
    done: dict[str, Any] = {}
    for column in table.columns:
        if column.name not in row:
            # Left out, a column of an existing table would get its default: only then leave it out.
            if column.server_default is None and not column.primary_key:
                done[column.name] = None
            continue
        value = row[column.name]
        if isinstance(column.type, (Text, String)) and value is not None and not isinstance(value, str):
            value = cell(value)
        elif isinstance(value, (dict, list)) and not isinstance(column.type, JSON):
            value = json.dumps(value, default=cell)
        done[column.name] = value
    return done
