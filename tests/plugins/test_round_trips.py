"""What a sink writes, the source of the same kind reads back equal, under a declared schema."""

import tempfile
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.contracts.plugins import PluginContext
from elspeth.plugins.sinks.csv_sink import CsvSink
from elspeth.plugins.sinks.json_sink import JsonSink
from elspeth.plugins.sinks.parquet_sink import ParquetSink
from elspeth.plugins.sources.csv_source import CsvSource
from elspeth.plugins.sources.json_source import JsonSource
from elspeth.plugins.sources.parquet_source import ParquetSource

FIELDS = ["i: int", "f: float", "b: bool", "d: decimal", "day: date", "at: datetime", "s: str", "note: str?"]
SCHEMA = {"mode": "fixed", "fields": FIELDS}
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


def rows(integers, decimals, instants):
    return st.lists(
        st.fixed_dictionaries(
            {
                "i": integers,
                "f": st.floats(allow_nan=False, allow_infinity=False),
                "b": st.booleans(),
                "d": decimals,
                "day": st.dates(),
                "at": instants,
                "s": TEXT,
                "note": st.none() | TEXT,
            }
        ),
        max_size=5,
    )


ANY_DECIMAL = st.decimals(
    allow_nan=False, allow_infinity=False, places=None, min_value=-(10**30), max_value=10**30
)
ANY_INSTANT = st.datetimes() | st.datetimes(timezones=ZONES)
ARROW_DECIMAL = st.decimals(
    allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20
)
ARROW_INSTANT = st.datetimes(min_value=datetime(1900, 1, 1), timezones=ZONES)  # noqa: DTZ001 - hypothesis wants it naive


def there_and_back(sink_class, source_class, name, written, **options):
    ctx = PluginContext(run_id="r")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / name)
        sink = sink_class({"path": path, "schema": SCHEMA, **options})
        sink.on_start(ctx)
        assert list(sink.write(written, ctx)) == []
        sink.publish()
        sink.close()
        return list(source_class({"path": path, "schema": SCHEMA, **options}).load(ctx))


def exact(value):
    return [{name: (type(item), str(item)) for name, item in row.items()} for row in value]


@settings(max_examples=80, deadline=None)
@given(rows(st.integers(-(10**40), 10**40), ANY_DECIMAL, ANY_INSTANT))
@pytest.mark.parametrize("options", [{}, {"delimiter": "\t"}, {"encoding": "utf-16"}])
def test_csv(options, written):
    assert exact(there_and_back(CsvSink, CsvSource, "a.csv", written, **options)) == exact(written)


@settings(max_examples=80, deadline=None)
@given(rows(st.integers(-(10**40), 10**40), ANY_DECIMAL, ANY_INSTANT))
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json(name, written):
    assert there_and_back(JsonSink, JsonSource, name, written) == written


@settings(max_examples=80, deadline=None)
@given(rows(st.integers(-(2**63), 2**63 - 1), ARROW_DECIMAL, ARROW_INSTANT))
def test_parquet(written):
    assert there_and_back(ParquetSink, ParquetSource, "a.parquet", written) == written


def test_the_extremes():
    row = {
        "i": 2**63 - 1,
        "f": 5e-324,
        "b": False,
        "d": Decimal("0.1000"),
        "day": date(1, 1, 1),
        "at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "s": 'a"b,\r\n\t\u2028\x1c\x85=é😀',
        "note": None,
    }
    assert exact(there_and_back(CsvSink, CsvSource, "a.csv", [row])) == exact([row])
    assert exact(there_and_back(JsonSink, JsonSource, "a.jsonl", [row])) == exact([row])
    assert there_and_back(ParquetSink, ParquetSource, "a.parquet", [row]) == [row]
