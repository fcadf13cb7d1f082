"""Chance against the ledger: whatever bit of the file and whatever record is changed, it shows.

A flip that changes no record (in unused space, or in what is state) need not show.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Table

from elspeth.contracts.errors import ElspethError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.verify import verify
from elspeth.core.landscape.tables import metadata

STATE = {"run_leases", "experiment_stats"}
RECORD = [table for table in metadata.tables.values() if table.name not in STATE]
DDL = (
    "CREATE VIEW extra{n} AS SELECT {n} AS n",
    "CREATE INDEX extra{n} ON {table} ({column})",
    "CREATE TRIGGER extra{n} AFTER INSERT ON {table} BEGIN SELECT {n}; END",
    "CREATE TRIGGER extra{n} INSTEAD OF INSERT ON rows BEGIN SELECT {n}; END",
    "DROP VIEW {view}",
    "ALTER TABLE {table} ADD COLUMN extra{n} TEXT",
    "ALTER TABLE {table} RENAME COLUMN {column} TO extra{n}",
)
VIEWS = ("rows", "token_parents", "node_states", "routing_events", "validation_errors", "batch_members")


def detected(path: Path) -> bool:
    """Whether somebody who checks this landscape is told that something is wrong."""
    try:
        db = LandscapeDB.from_url(f"sqlite:///{path}", create=False)
    except ElspethError:
        return True
    try:
        with db.engine.connect() as connection:
            return not verify(connection).ok
    finally:
        db.close()


def contents(path: Path) -> Any:
    """All that is record in the file, as the bytes that are stored; None if that can't be read."""
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    try:
        found = {
            table.name: sorted(connection.execute(f"SELECT * FROM {table.name}").fetchall(), key=repr)
            for table in RECORD
        }
        return found, sorted(
            connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"), key=repr
        )
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def flips(original: Path, copy: Path, count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Change one bit after the other of fresh copies; gives the places of those that went unnoticed."""
    chance = Random(seed)
    data = original.read_bytes()
    before = contents(original)
    for _ in range(count):
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        for leftover in copy.parent.glob(f"{copy.name}*"):
            leftover.unlink()
        copy.write_bytes(changed)
        if not detected(copy) and contents(copy) != before:
            yield place, bit


def random_change(chance: Random, connection: sqlite3.Connection, number: int) -> str:
    """One statement that changes a record, adds or removes one, swaps two, or changes the schema."""
    table = chance.choice(RECORD)
    rows = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
    kinds: list[Callable[[Random, sqlite3.Connection, Table, int], str]] = [_update, _delete, _insert, _swap]
    if not rows or chance.random() < 0.15:
        return _schema(chance, table, number)
    return chance.choice(kinds)(chance, connection, table, number)


def _where(chance: Random, connection: sqlite3.Connection, table: Table) -> str:
    keys = [column.name for column in table.primary_key.columns] or [table.columns.keys()[0]]
    rows = connection.execute(f"SELECT {', '.join(map(_quoted, keys))} FROM {table.name}").fetchall()
    return " AND ".join(f"{key} = {value}" for key, value in zip(keys, chance.choice(rows), strict=True))


def _quoted(column: str) -> str:
    return f"quote({column})"


def _column(chance: Random, table: Table) -> str:
    return chance.choice(table.columns.keys())


def _update(chance: Random, connection: sqlite3.Connection, table: Table, number: int) -> str:
    column = _column(chance, table)
    value = chance.choice(
        ["NULL", "''", "x''", f"{column} || 'x'", f"{column} + 1", "0", f"'{number}'", f"substr({column}, 2)",
         f"CAST({column} AS BLOB)", f"CAST({column} AS TEXT)"]
    )  # fmt: skip
    return f"UPDATE {table.name} SET {column} = {value} WHERE {_where(chance, connection, table)}"


def _delete(chance: Random, connection: sqlite3.Connection, table: Table, _number: int) -> str:
    return f"DELETE FROM {table.name} WHERE {_where(chance, connection, table)}"


def _insert(chance: Random, connection: sqlite3.Connection, table: Table, number: int) -> str:
    keys = [column.name for column in table.primary_key.columns]
    changed = chance.choice(keys) if keys else None
    given = {changed: f"{changed} || '{number}'" if "id" in (changed or "") else f"{changed} + {number + 7}"}
    names = [column.name for column in table.columns]
    values = ", ".join(given.get(column, column) for column in names)
    where = _where(chance, connection, table)
    return f"INSERT INTO {table.name} SELECT {values} FROM {table.name} WHERE {where}"


def _swap(chance: Random, connection: sqlite3.Connection, table: Table, _number: int) -> str:
    column = _column(chance, table)
    one, other = _where(chance, connection, table), _where(chance, connection, table)
    return f"""UPDATE {table.name} SET {column} = CASE WHEN {one}
        THEN (SELECT {column} FROM {table.name} WHERE {other})
        ELSE (SELECT {column} FROM {table.name} WHERE {one}) END WHERE ({one}) OR ({other})"""


def _schema(chance: Random, table: Table, number: int) -> str:
    names = {"n": number, "table": table.name, "column": _column(chance, table), "view": chance.choice(VIEWS)}
    return chance.choice(DDL).format(**names)


def changes(original: Path, copy: Path, count: int, seed: int) -> Iterator[str]:
    """Run random statements on fresh copies; gives those that changed something and went unnoticed."""
    chance = Random(seed)
    before = contents(original)
    done = 0
    while done < count:
        for leftover in copy.parent.glob(f"{copy.name}*"):
            leftover.unlink()
        shutil.copy(original, copy)
        connection = sqlite3.connect(copy)
        statement = random_change(chance, connection, done)
        try:
            connection.execute(statement)
            connection.commit()
        except sqlite3.Error:
            continue  # the schema does not allow that one
        finally:
            connection.close()
        if contents(copy) == before:
            continue
        done += 1
        if not detected(copy):
            yield statement


def test_flipped_bits_show(sealed_file: Path, tmp_path: Path) -> None:
    assert list(flips(sealed_file, tmp_path / "copy.db", 120, seed=20261121)) == []


def test_changed_records_show(sealed_file: Path, tmp_path: Path) -> None:
    assert list(changes(sealed_file, tmp_path / "copy.db", 120, seed=20261121)) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_flipped_bits_show(sealed_file: Path, tmp_path: Path, seed: int) -> None:
    assert list(flips(sealed_file, tmp_path / "copy.db", 2000, seed)) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_changed_records_show(sealed_file: Path, tmp_path: Path, seed: int) -> None:
    assert list(changes(sealed_file, tmp_path / "copy.db", 1000, seed)) == []
