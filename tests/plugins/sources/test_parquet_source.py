"""The parquet source: exact values, nested columns, positions."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elspeth.contracts.plugins import Source
from elspeth.contracts.schema import FieldType
from elspeth.plugins.sources.parquet_source import ParquetSource


@pytest.fixture
def table(tmp_path):
    def write(columns, **options):
        path = tmp_path / "in.parquet"
        pq.write_table(pa.table(columns), path, **options)
        return path

    return write


def test_values_are_exact(table, drain):
    berlin = ZoneInfo("Europe/Berlin")
    at = datetime(2024, 7, 1, 12, 0, 0, 123456)  # noqa: DTZ001 - naive on purpose
    path = table(
        {
            "big": pa.array([2**63 - 1], pa.int64()),
            "unsigned": pa.array([2**64 - 1], pa.uint64()),
            "price": pa.array([Decimal("12345678901234567890.123456789")], pa.decimal128(38, 9)),
            "day": pa.array([date(2024, 2, 29)]),
            "naive": pa.array([at], pa.timestamp("us")),
            "zoned": pa.array([at.replace(tzinfo=berlin)], pa.timestamp("us", "Europe/Berlin")),
            "nano": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")),
            "micro": pa.array([1_700_000_000_123_456_000], pa.timestamp("ns")),
            "clock": pa.array([time(1, 2, 3)]),
            "span": pa.array([timedelta(seconds=90, microseconds=500000)]),
            "raw": pa.array([b"\x00\xff"]),
            "nested": pa.array([{"a": [1, None], "b": {"c": "x"}}]),
            "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "word": pa.array(["x"]).dictionary_encode(),
            "none": pa.array([None], pa.string()),
        }
    )
    source = ParquetSource({"path": str(path)})
    assert isinstance(source, Source)
    (row,), bad = drain(source)
    assert bad == []
    assert row == {
        "big": 2**63 - 1,
        "unsigned": 2**64 - 1,
        "price": Decimal("12345678901234567890.123456789"),
        "day": date(2024, 2, 29),
        "naive": at,
        "zoned": at.replace(tzinfo=berlin),
        "nano": "2023-11-14T22:13:20.123456789+00:00",
        "micro": datetime(2023, 11, 14, 22, 13, 20, 123456),  # noqa: DTZ001 - naive on purpose
        "clock": "01:02:03",
        "span": "PT90.5S",
        "raw": b"\x00\xff",
        "nested": {"a": [1, None], "b": {"c": "x"}},
        "pairs": {"k": 1},
        "word": "x",
        "none": None,
    }
    assert row["zoned"].utcoffset() == timedelta(hours=2)
    kinds = {spec.name: spec.type for spec in source.preview_schema().fields}
    assert (kinds["big"], kinds["price"], kinds["zoned"]) == (
        FieldType.INT,
        FieldType.DECIMAL,
        FieldType.DATETIME,
    )
    assert source.observed_schema() == source.preview_schema()


def test_nan_and_infinity_are_quarantined(table, drain):
    path = table({"id": [1, 2, 3], "x": [0.5, float("nan"), None], "y": [[1.0], [2.0], [float("inf")]]})
    rows, (nan, inf) = drain(ParquetSource({"path": str(path)}))
    assert rows == [{"id": 1, "x": 0.5, "y": [1.0]}]
    assert (nan.field, nan.reason) == ("x", "field 'x': nan is not a finite number")
    assert nan.raw["id"] == 2
    assert inf.field == "y"


def test_schema_columns_and_mapping(table, drain):
    path = table({"id": ["1", "x"], "at": [datetime(2024, 1, 1, tzinfo=UTC)] * 2, "more": [1, 2]})
    options = {
        "path": str(path),
        "columns": ["id", "more"],
        "field_mapping": {"more": "other"},
        "schema": {"mode": "flexible", "fields": ["id: int"]},
    }
    rows, (bad,) = drain(ParquetSource(options))
    assert rows == [{"id": 1, "other": 1}]
    assert bad.field == "id"


def test_files_that_are_not_parquet(file, table):
    (problem,) = ParquetSource({"path": str(file("id\n1\n"))}).check()
    assert "cannot be read as Parquet" in problem
    options = {"path": str(table({"id": [1], "x": [2]})), "schema": {"mode": "fixed", "fields": ["id: int"]}}
    (problem,) = ParquetSource(options).check()
    assert "columns that the fixed schema does not declare: x" in problem
    (problem,) = ParquetSource({"path": str(table({"id": [1]})), "columns": ["nope"]}).check()
    assert "has no column 'nope'; it has: id" in problem


def test_it_resumes_behind_every_row_of_several_row_groups(table, resumes_everywhere):
    path = table({"id": list(range(25)), "x": [float("nan") if i % 9 == 4 else i / 2 for i in range(25)]})
    # NaN is not equal to itself; its row is quarantined with its text.
    assert resumes_everywhere(lambda: ParquetSource({"path": str(path)})) == 25
    path = table({"id": list(range(25))}, row_group_size=4)
    assert resumes_everywhere(lambda: ParquetSource({"path": str(path)})) == 25
    assert ParquetSource({"path": str(path)}).size_hint() == 25


def test_an_empty_table(table, drain):
    assert drain(ParquetSource({"path": str(table({"id": pa.array([], pa.int64())}))})) == ([], [])
