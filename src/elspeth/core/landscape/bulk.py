"""Many rows into a table at the driver's own speed, inside a SQLAlchemy transaction.

SQLite: one ``executemany`` of tuples. PostgreSQL: one binary ``COPY`` (58,000 against 13,700 rows
per second for inserts through SQLAlchemy).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Connection, Float, Integer, LargeBinary, Numeric, Table, Text

from elspeth.core.landscape.types import UtcDateTime

_COPY_TYPES: Mapping[type[Any], str] = {
    BigInteger: "int8",
    Integer: "int4",
    Text: "text",
    LargeBinary: "bytea",
    Float: "float8",
    Numeric: "numeric",
    UtcDateTime: "timestamptz",
}


def insert_rows(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert ``rows`` (values in the order of the table's columns) in the transaction of ``connection``.

    Times must be aware datetimes. Nothing is converted beyond what the driver does, and nothing
    is visible to others before the caller commits.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, rows)
    else:
        _executemany(connection, table, rows)


@cache
def _insert_statement(table: Table, places: tuple[int, ...]) -> str:
    names = [column.name for column in table.columns]
    return (
        f"INSERT INTO {table.name} ({', '.join(names[at] for at in places)})"
        f" VALUES ({', '.join('?' * len(places))})"
    )


def _filled(rows: Sequence[Sequence[Any]]) -> tuple[int, ...]:
    """The places of the columns in which any row has a value."""
    return tuple(
        at
        for at, value in enumerate(rows[0])
        if value is not None or set(map(itemgetter(at), rows)) != {None}
    )


def _executemany(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    times = [i for i, column in enumerate(table.columns) if isinstance(column.type, UtcDateTime)]
    ready: Iterable[Sequence[Any]] = rows
    if times:
        known: dict[datetime, str] = {}  # many records are of one moment
        ready = [_as_text(row, times, known) for row in rows]
    raw = connection.connection.driver_connection
    assert raw is not None
    # A column of nulls is left out: to bind a null takes the driver 0.3 µs, it looks for an adapter.
    places = _filled(rows)
    if 1 < len(places) < len(rows[0]):
        ready = map(itemgetter(*places), ready)
    else:
        places = tuple(range(len(rows[0])))
    raw.executemany(_insert_statement(table, places), ready)


def _as_text(row: Sequence[Any], times: Sequence[int], known: dict[datetime, str]) -> list[Any]:
    values = list(row)
    for i in times:
        moment = values[i]
        if moment is not None:
            text = known.get(moment)
            if text is None:
                text = known[moment] = moment.strftime("%Y-%m-%d %H:%M:%S.%f")
            values[i] = text
    return values


def _copy(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    names = ", ".join(column.name for column in table.columns)
    types = [_COPY_TYPES[type(column.type)] for column in table.columns]
    raw = connection.connection.driver_connection
    assert raw is not None
    with (
        raw.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)
