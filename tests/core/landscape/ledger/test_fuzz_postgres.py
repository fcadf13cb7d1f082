"""Chance against the ledger on PostgreSQL: random changes, each taken back after it was checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from elspeth.core.landscape.ledger import verify as verification
from elspeth.core.landscape.tables import metadata

STATE = {"run_leases", "experiment_stats"}
RECORD = [table for table in metadata.tables.values() if table.name not in STATE]


@contextmanager
def as_it_is(_connection: Connection) -> Iterator[None]:
    """In place of a snapshot: what is checked is what this transaction has changed."""
    yield


def other(chance: Random, value: Any) -> Any:
    """A value of the same type that is not this one."""
    if value is None:
        return chance.choice(["x", 1])
    if isinstance(value, str):
        return chance.choice([f"{value}x", value[1:] or "y"])
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, bytes | memoryview):
        return bytes(value)[::-1] + b"x"
    return value + 1


def some_row(chance: Random, connection: Connection, table: Table) -> tuple[Any, dict[str, Any]] | None:
    """A row, and the condition that is true of it alone."""
    rows = connection.execute(select(table)).mappings().all()
    if not rows:
        return None
    row = dict(chance.choice(rows))
    where = [column == row[column.name] for column in table.primary_key.columns]
    return where, row


def change(chance: Random, connection: Connection, table: Table) -> str | None:
    """Change, take away, add or swap; gives what was done, None if nothing could be."""
    found, second = some_row(chance, connection, table), some_row(chance, connection, table)
    if found is None or second is None:
        return None
    where, row = found
    column = chance.choice(list(table.columns))
    kind = chance.choice(["update", "delete", "insert", "swap"])
    if kind == "delete":
        connection.execute(delete(table).where(*where))
    elif kind == "update":
        connection.execute(update(table).where(*where).values({column: other(chance, row[column.name])}))
    elif kind == "insert":
        key = chance.choice(list(table.primary_key.columns))
        connection.execute(insert(table).values({**row, key.name: other(chance, row[key.name])}))
    else:
        if row[column.name] == second[1][column.name] or column.primary_key:
            return None
        connection.execute(update(table).where(*where).values({column: second[1][column.name]}))
        connection.execute(update(table).where(*second[0]).values({column: row[column.name]}))
    return f"{kind} {table.name} {column.name}: {row}"


def unnoticed(connection: Connection, count: int, seed: int) -> Iterator[str]:
    """Make so many changes, one at a time; gives those that the check did not notice."""
    chance = Random(seed)
    done = 0
    while done < count:
        with connection.begin() as transaction:
            try:
                what = change(chance, connection, chance.choice(RECORD))
            except DBAPIError:
                what = None  # the schema does not allow that one
            if what is not None:
                done += 1
                if verification.verify(connection).ok:
                    yield what
            transaction.rollback()


@pytest.fixture
def untouched(sealed_postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to two sealed runs, in which a check sees what its own transaction has changed."""
    monkeypatch.setattr(verification, "snapshot", as_it_is)
    with sealed_postgres.db.engine.connect() as connection:
        yield connection


def test_changed_records_show(untouched: Connection) -> None:
    assert list(unnoticed(untouched, 30, seed=20261121)) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2))
def test_thousands_of_changed_records_show(untouched: Connection, seed: int) -> None:
    assert list(unnoticed(untouched, 1000, seed)) == []
