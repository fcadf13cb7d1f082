"""The database source and sink on PostgreSQL."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from elspeth.contracts.plugins import PluginContext
from elspeth.plugins.sinks.database_sink import DatabaseSink
from elspeth.plugins.sources.database_source import DatabaseSource

CTX = PluginContext(run_id="run-1")


def sink(url, **options):
    return DatabaseSink({"url": url, "table": "results", **options})


def read(url, **options):
    source = DatabaseSource({"url": url, "table": "results", **options})
    try:
        return list(source.load(CTX))
    finally:
        source.close()


def test_values_go_there_and_back_exactly(postgres_url):
    row = {
        "id": 2**62 + 1,
        "d": Decimal("12345678901234567890.1000"),
        "f": 0.1,
        "flag": True,
        "s": "é'\"\n",
        "day": date(2024, 2, 29),
        "at": datetime(2024, 1, 31, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5))),
        "naive": datetime(2024, 1, 31, 12),  # noqa: DTZ001 - naive on purpose
        "raw": b"\x00\xff",
        "u": UUID(int=7),
        "none": None,
    }
    out = sink(postgres_url)
    out.on_start(CTX)
    assert list(out.write([row], CTX)) == []
    out.publish()
    out.close()
    (found,) = read(postgres_url, key="id")
    assert found == row
    assert str(found["d"]) == "12345678901234567890.1000"
    assert found["at"].astimezone(UTC) == row["at"]


def test_bad_rows_fail_alone_and_a_resume_writes_every_row_once(postgres_url):
    schema = {"mode": "fixed", "fields": ["id: int"]}
    first = sink(postgres_url, schema=schema)
    first.on_start(CTX)
    start = dict(first.position())
    groups = [[{"id": 1}, {"id": "x"}, {"id": 2**63}, {"id": 2}], [{"id": 3}]]
    assert [failure.index for failure in first.write(groups[0], CTX)] == [1, 2]
    first.flush()
    first.write(groups[1], CTX)
    first.close()
    second = sink(postgres_url, schema=schema)
    second.on_start(CTX)
    second.restore(start)
    assert [failure.index for failure in second.write(groups[0], CTX)] == [1, 2]
    assert list(second.write(groups[1], CTX)) == []
    second.flush()
    assert second.publish().rows == 3
    second.close()
    assert read(postgres_url, key="id") == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_replace_takes_the_place_of_the_old_table_at_the_end(postgres_url):
    for number in (1, 2):
        out = sink(postgres_url, if_exists="replace" if number == 2 else "fail")
        out.on_start(PluginContext(run_id=f"run-{number}"))
        out.write([{"id": number}], CTX)
        out.flush()
        if number == 2:
            assert read(postgres_url) == [{"id": 1}]
        out.publish()
        out.close()
    assert read(postgres_url) == [{"id": 2}]


@pytest.mark.parametrize("how", [{"key": "id"}, {"order_by": ["name"]}])
def test_it_resumes_behind_every_row(postgres_url, monkeypatch, how):
    monkeypatch.setattr("elspeth.plugins.sources.database_source._CHUNK_ROWS", 3)
    out = sink(postgres_url)
    out.on_start(CTX)
    out.write([{"id": i, "name": f"n{i}"} for i in range(8)], CTX)
    out.publish()
    out.close()
    whole = read(postgres_url, **how)
    assert len(whole) == 8
    source = DatabaseSource({"url": postgres_url, "table": "results", **how})
    items = source.load(CTX)
    for taken in range(9):
        if taken:
            next(items)
        later = DatabaseSource({"url": postgres_url, "table": "results", **how})
        later.seek(source.position())
        assert list(later.load(CTX)) == whole[taken:]
        later.close()
    items.close()
    source.close()
