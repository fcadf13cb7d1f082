"""The parquet sink: exact columns, failures, one layout, and coming back."""

import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from elspeth.contracts.plugins import Sink
from elspeth.plugins.sinks.parquet_sink import ParquetSink

ROW = {
    "i": 2**53 + 1,
    "big": 2**70,
    "f": 1.5,
    "b": True,
    "s": "é",
    "d": Decimal("1.10"),
    "day": date(2024, 2, 29),
    "at": datetime(2024, 1, 31, 12, tzinfo=UTC),
    "raw": b"\x00",
    "nested": {"x": [1, 2]},
    "none": None,
}


def test_values_are_exact(tmp_path, fill):
    path = tmp_path / "a.parquet"
    sink = ParquetSink({"path": str(path)})
    assert isinstance(sink, Sink)
    artifact = fill(sink, [ROW], [{"i": 1}])
    table = pq.read_table(path)
    assert table.to_pylist()[0] == ROW
    assert table.to_pylist()[1] == {**dict.fromkeys(ROW), "i": 1}
    assert artifact.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (artifact.rows, artifact.size_bytes) == (2, path.stat().st_size)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("first", "later", "reason"),
    [
        (1, "x", "a str is not a int"),
        (1, True, "a bool is not a int"),
        (1, 2**64, "does not fit a column of type int64"),
        (1.5, 2**53 + 1, "would lose digits"),
        ("x", 5, "a int is not text"),
        (Decimal("1.5"), Decimal("1.555"), "does not fit a column of type decimal128(38, 1)"),
        (date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), "a datetime is not a date"),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1), "no time zone, unlike the column"),  # noqa: DTZ001
        ("x", "\ud800", "does not fit"),
    ],
)
def test_what_does_not_fit_its_column_exactly_fails_alone(tmp_path, ctx, first, later, reason):
    sink = ParquetSink({"path": str(tmp_path / "a.parquet")})
    sink.on_start(ctx)
    assert sink.write([{"v": first}], ctx) == []
    (failure,) = sink.write([{"v": first}, {"v": later}, {"v": None}], ctx)
    assert failure.index == 1
    assert reason in failure.reason
    (failure,) = sink.write([{"v": first, "other": 1}], ctx)
    assert "field 'other' has no column: the columns are v" in failure.reason
    sink.publish()
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"v": first}, {"v": first}, {"v": None}]


def test_declared_columns_and_no_rows(tmp_path, fill):
    schema = {"mode": "fixed", "fields": ["id: int", "name: str?", "price: decimal"]}
    fill(ParquetSink({"path": str(tmp_path / "a.parquet"), "schema": schema}))
    assert pq.read_schema(tmp_path / "a.parquet").names == ["id", "name", "price"]
    fill(ParquetSink({"path": str(tmp_path / "b.parquet")}))
    assert pq.read_table(tmp_path / "b.parquet").num_rows == 0


def test_the_file_depends_on_the_rows_not_on_how_they_came(tmp_path, fill, monkeypatch):
    monkeypatch.setattr("elspeth.plugins.sinks.parquet_sink._GROUP_ROWS", 7)
    rows = [{"id": i, "x": "y" * i} for i in range(40)]
    artifacts = [
        fill(
            ParquetSink({"path": str(tmp_path / f"{size}.parquet")}),
            *(rows[at : at + size] for at in range(0, 40, size)),
        )
        for size in (1, 5, 40)
    ]
    assert len({artifact.content_hash for artifact in artifacts}) == 1
    assert pq.read_table(tmp_path / "5.parquet").to_pylist() == rows
    assert pq.ParquetFile(tmp_path / "40.parquet").num_row_groups == 6


def test_it_comes_back_after_every_row(tmp_path, restores_everywhere):
    path = tmp_path / "a.parquet"
    restores_everywhere(
        lambda: ParquetSink({"path": str(path)}), path, [{"id": i, "x": f"{i}"} for i in range(6)]
    )


def test_a_parquet_file_can_not_be_appended_to(tmp_path):
    with pytest.raises(ValidationError):
        ParquetSink({"path": "a.parquet", "mode": "append"})
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (problem,) = ParquetSink(
        {"path": str(tmp_path / "a.parquet"), "collision_policy": "append_or_create"}
    ).check()
    assert "can't be appended to" in problem
