"""The database source, on SQLite files."""

import sqlite3

import pytest
from pydantic import ValidationError

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import Source
from elspeth.plugins.sources.database_source import DatabaseSource


@pytest.fixture
def url(tmp_path):
    with sqlite3.connect(tmp_path / "in.db") as connection:
        connection.execute('CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, "order" REAL, at TEXT)')
        rows = [(2**53 + i, f"n{i}", i / 4, "12:30") for i in range(25)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{tmp_path / 'in.db'}"


def test_a_table_and_a_query(url, drain):
    rows, bad = drain(DatabaseSource({"url": url, "table": "orders", "key": "id"}))
    assert (len(rows), bad) == (25, [])
    assert rows[1] == {"id": 2**53 + 1, "name": "n1", "order": 0.25, "at": "12:30"}
    query = "SELECT id, name AS title FROM orders WHERE at = '12:30' ORDER BY id DESC;"
    rows, _ = drain(DatabaseSource({"url": url, "query": query}))
    assert rows[0] == {"id": 2**53 + 24, "title": "n24"}
    assert isinstance(DatabaseSource({"url": url, "query": query}), Source)


def test_columns_are_known_before_reading(url):
    source = DatabaseSource(
        {"url": url, "table": "orders", "schema": {"mode": "flexible", "fields": ["id: int"]}}
    )
    assert source.preview_schema().promises == {"id", "name", "order", "at"}
    (problem,) = DatabaseSource({"url": url, "table": "orders", "schema": {"fields": ["idd: int"]}}).check()
    assert "has no column for the field 'idd'" in problem
    assert "did you mean 'id'?" in problem


def test_schema_and_mapping(url, drain):
    options = {"url": url, "table": "orders", "field_mapping": {"order": "amount"}}
    schema = {"mode": "flexible", "fields": ["amount: decimal", "name: int"]}
    rows, bad = drain(DatabaseSource({**options, "schema": schema}))
    assert (rows, len(bad)) == ([], 25)
    assert bad[0].field == "name"


@pytest.mark.parametrize(
    "how",
    [
        {"table": "orders", "key": "id"},
        {"table": "orders", "key": "name"},
        {"table": "orders", "key": "order"},
        {"table": "orders", "order_by": ["order"]},
        {"query": "SELECT * FROM orders", "key": "id", "field_mapping": {"id": "number"}},
        {"query": "SELECT * FROM orders ORDER BY id"},
    ],
)
def test_it_resumes_behind_every_row(url, resumes_everywhere, monkeypatch, how):
    monkeypatch.setattr("elspeth.plugins.sources.database_source._CHUNK_ROWS", 4)
    assert resumes_everywhere(lambda: DatabaseSource({"url": url, **how})) == 25


def test_a_missing_sqlite_file_is_named_and_not_made(tmp_path):
    path = tmp_path / "none.db"
    (problem,) = DatabaseSource({"url": f"sqlite:///{path}", "table": "t"}).check()
    assert problem == f"there is no database file {path}; correct the url"
    assert not path.exists()


def test_a_missing_table_or_column_is_named(url):
    (problem,) = DatabaseSource({"url": url, "table": "nope"}).check()
    assert "no such table: nope" in problem
    assert "check url, table and query" in problem
    (problem,) = DatabaseSource({"url": url, "table": "orders", "key": "nope"}).check()
    assert "nope" in problem
    (problem,) = DatabaseSource({"url": url, "query": "SELECT id, id FROM orders"}).check()
    assert "two columns are called 'id'; name them apart in the query (AS)" in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/db",
        "nosuch://me:s3cret@host/db",
        "postgresql://me:s3cret@host:x/db",
    ],
)
def test_passwords_are_never_shown(url):
    source = DatabaseSource({"url": url, "table": "t"})
    with pytest.raises(SourceError) as caught:
        source.preview_schema()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_options_are_checked(url):
    with pytest.raises(ValidationError, match="give either table or query"):
        DatabaseSource({"url": url})
    with pytest.raises(ValidationError, match="give either key or order_by"):
        DatabaseSource({"url": url, "table": "t", "key": "a", "order_by": ["b"]})
