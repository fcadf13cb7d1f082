"""The database sink, on SQLite files."""

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Sink
from elspeth.plugins.sinks.database_sink import DatabaseSink


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.db"


@pytest.fixture
def query(path):
    def run(sql):
        connection = sqlite3.connect(path)
        try:
            with connection:
                return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return run


def make(path, **options):
    return DatabaseSink({"url": f"sqlite:///{path}", "table": "results", **options})


def test_rows_land_in_a_new_table(path, fill, query):
    sink = make(path)
    assert isinstance(sink, Sink)
    artifact = fill(sink, [{"id": 2**53 + 1, "name": "é"}], [{"id": 2, "name": None}, {"name": "x"}])
    assert query("SELECT id, name FROM results ORDER BY rowid") == [(2**53 + 1, "é"), (2, None), (None, "x")]
    assert artifact.rows == 3
    assert artifact.path_or_uri == f"sqlite:///{path}#results"
    assert artifact.content_hash is None
    tables = {name for (name,) in query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"results", "elspeth_sink_progress"}


def test_values_are_exact(path, fill, query):
    row = {
        "d": Decimal("12345678901234567890.10"),
        "day": date(2024, 1, 31),
        "at": datetime(2024, 1, 31, 12, tzinfo=UTC),
        "flag": True,
        "raw": b"\x00\xff",
        "nested": {"a": [1]},
        "f": 0.1,
    }
    fill(make(path), [row])
    assert query("SELECT d, day, at, flag, raw, nested, f FROM results") == [
        (
            "12345678901234567890.10",
            "2024-01-31",
            "2024-01-31T12:00:00+00:00",
            1,
            b"\x00\xff",
            '{"a":[1]}',
            0.1,
        )
    ]


def test_nothing_is_visible_before_the_end(path, ctx, query):
    sink = make(path, if_exists="replace")
    query("CREATE TABLE results (old TEXT)")
    query("INSERT INTO results VALUES ('old')")
    sink.on_start(ctx)
    sink.write([{"new": 1}], ctx)
    sink.flush()
    assert query("SELECT * FROM results") == [("old",)]
    sink.publish()
    sink.close()
    assert query("SELECT * FROM results") == [(1,)]


def test_an_existing_table_is_left_alone_by_default(path, ctx, query):
    query("CREATE TABLE results (old TEXT)")
    (problem,) = make(path).check()
    assert "table results exists in" in problem
    assert "set if_exists: append or replace" in problem
    sink = make(path)
    sink.on_start(ctx)
    with pytest.raises(SinkError, match="table results exists"):
        sink.write([{"id": 1}], ctx)
    sink.close()


@pytest.mark.parametrize("if_exists", ["append", "replace", "fail"])
def test_a_crash_right_after_publishing_changes_nothing(path, ctx, query, if_exists):
    first = make(path, if_exists=if_exists)
    first.on_start(ctx)
    first.write([{"id": 1}], ctx)
    first.flush()
    position = dict(first.position())
    first.write([{"id": 2}], ctx)
    first.publish()
    first.close()
    second = make(path, if_exists=if_exists)
    second.on_start(ctx)
    second.restore(position)
    second.write([{"id": 2}], ctx)
    second.flush()
    assert second.publish().rows == 2
    second.close()
    assert query("SELECT id FROM results") == [(1,), (2,)]


def test_a_database_that_was_put_back_is_not_continued(path, ctx):
    sink = make(path)
    sink.on_start(ctx)
    with pytest.raises(SinkError, match="5 rows are on record, but the database knows of 0"):
        sink.restore({"rows": 5, "seen": 5})
    sink.close()


def test_one_bad_row_does_not_take_its_neighbours_along(path, ctx, query):
    query("CREATE TABLE results (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 10))")
    query("INSERT INTO results VALUES (2, 0)")
    sink = make(path, if_exists="append")
    sink.on_start(ctx)
    rows = [
        {"id": 1, "n": 1},
        {"id": 2, "n": 1},
        {"id": 3, "n": 11},
        {"id": 4, "x": 1},
        {"id": 5, "n": 2**70},
        {"id": 6},
    ]
    failures = sink.write(rows, ctx)
    assert [failure.index for failure in failures] == [1, 2, 3, 4]
    assert failures[0].reason == "refused by the database: UNIQUE constraint failed: results.id"
    assert "CHECK constraint failed" in failures[1].reason
    assert failures[2].reason.startswith("field 'x' has no column: the columns are id, n")
    sink.flush()
    assert sink.publish().rows == 2
    sink.close()
    assert query("SELECT * FROM results") == [(1, 1), (2, 0), (6, None)]


def test_what_is_not_flushed_is_forgotten(path, ctx, query):
    query("CREATE TABLE results (id INTEGER)")
    sink = make(path, if_exists="append")
    sink.on_start(ctx)
    sink.write([{"id": 1}], ctx)
    sink.flush()
    sink.write([{"id": 2}], ctx)
    sink.close()
    assert query("SELECT * FROM results") == [(1,)]


@pytest.mark.parametrize("if_exists", ["append", "replace", "fail"])
@pytest.mark.parametrize("recorded", [0, 1])
def test_a_resume_writes_every_row_once(path, ctx, query, if_exists, recorded):
    """Killed between the sink's commit and the record of it, or just after both."""
    if if_exists == "append":
        query("CREATE TABLE results (id INTEGER PRIMARY KEY)")
    groups = [[{"id": 1}, {"bad": 0}], [{"id": 2}, {"bad": 0}, {"id": 3}], [{"id": 4}]]
    schema = {"mode": "fixed", "fields": ["id: int"]}
    first = make(path, if_exists=if_exists, schema=schema)
    first.on_start(ctx)
    positions = []
    for group in groups[:2]:
        first.write(group, ctx)
        first.flush()
        positions.append(dict(first.position()))
    first.write(groups[2], ctx)
    first.close()
    second = make(path, if_exists=if_exists, schema=schema)
    second.on_start(ctx)
    second.restore(positions[recorded])
    failed = []
    for group in groups[recorded + 1 :]:
        failed += [failure.index for failure in second.write(group, ctx)]
        second.flush()
    assert failed == ([1] if recorded == 0 else [])
    assert second.publish().rows == 4
    second.close()
    assert query("SELECT id FROM results ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_databases_that_can_not_be_used_are_named_without_passwords(ctx):
    sink = DatabaseSink({"url": "postgresql://me:s3cret@127.0.0.1:1/db", "table": "t"})
    (problem,) = sink.check()
    assert "postgresql://me:***@127.0.0.1:1/db cannot be used" in problem
    assert "s3cret" not in problem
    with pytest.raises(SinkError) as caught:
        sink.on_start(ctx)
    assert "s3cret" not in str(caught.value)
    assert sink.targets() == ["postgresql://me:***@127.0.0.1:1/db#t"]
