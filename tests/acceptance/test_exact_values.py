"""Values come through exactly, from each kind of file to each: large ids, decimals, dates, zones, nesting."""

import csv
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elspeth import explain, run

Row = dict[str, Any]
PLUGIN = {"csv": "csv", "jsonl": "json", "parquet": "parquet"}
ZONE = timezone(timedelta(hours=5, minutes=30))
FIELDS = ["id: int", "low: int", "price: decimal", "ratio: float", "day: date", "seen: datetime",
          "zoned: datetime", "name: str", "ok: bool", "note: str?"]  # fmt: skip
NAIVE = datetime.fromisoformat("2024-03-31T02:30:00.123456")
ROWS: list[Row] = [
    {"id": 2**53 + 1, "low": -(2**63), "price": Decimal("12.3400"), "ratio": 0.1, "day": date(2024, 2, 29),
     "seen": NAIVE, "zoned": datetime(2024, 1, 1, 12, tzinfo=ZONE),
     "name": "007", "ok": True, "note": None},
    {"id": 2**63 - 1, "low": 0, "price": Decimal("99999999999999999999.99"), "ratio": 1e-300,
     "day": date(1, 1, 1), "seen": NAIVE,
     "zoned": datetime(1969, 12, 31, tzinfo=ZONE), "name": 'é"☃,\nx', "ok": False, "note": " x "},
]  # fmt: skip


def write(kind: str, path: Path) -> None:
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif kind == "jsonl":
        path.write_text("".join(f"{_json(row)}\n" for row in ROWS), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(ROWS[0]))
            writer.writeheader()
            writer.writerows({name: _text(value) for name, value in row.items()} for row in ROWS)


def _json(row: Row) -> str:
    return json.dumps({name: _text(v) if isinstance(v, date | Decimal) else v for name, v in row.items()})


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else "" if value is None else str(value)


def read(kind: str, path: Path) -> list[Row]:
    if kind == "parquet":
        return pq.read_table(path).to_pylist()
    if kind == "csv":
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    else:
        rows = [json.loads(line, parse_float=Decimal) for line in path.read_text("utf-8").splitlines()]
    return [{name: _meant(name, value) for name, value in row.items()} for row in rows]


def _meant(name: str, value: Any) -> Any:
    if value is None or (name == "note" and value == ""):
        return None
    makers = {"id": int, "low": int, "price": Decimal, "ratio": float, "day": date.fromisoformat,
              "seen": datetime.fromisoformat, "zoned": datetime.fromisoformat}  # fmt: skip
    if name == "ok":
        return value in (True, "true")
    return makers.get(name, str)(value)


@pytest.mark.parametrize("into", PLUGIN)
@pytest.mark.parametrize("out_of", PLUGIN)
def test_values_come_through(tmp_path: Path, out_of: str, into: str) -> None:
    write(out_of, tmp_path / f"in.{out_of}")
    database = f"sqlite:///{tmp_path}/audit.db"
    options = {"path": f"{tmp_path}/in.{out_of}", "schema": {"mode": "fixed", "fields": FIELDS}}
    pipeline = {
        "source": {"plugin": PLUGIN[out_of], "options": options},
        "transforms": [{"name": "same", "plugin": "passthrough"}],
        "sinks": {"output": {"plugin": PLUGIN[into], "options": {"path": f"{tmp_path}/out.{into}"}}},
        "landscape": {"url": database},
    }
    (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
    result = run(tmp_path / "p.yaml", environ={})
    assert result.status == "completed"
    assert read(into, tmp_path / f"out.{into}") == ROWS
    for index, row in enumerate(ROWS):
        (story,) = explain(row=index, database=database).rows
        assert story.source_data == row
        assert {name: type(value) for name, value in (story.source_data or {}).items()} == {
            name: type(value) for name, value in row.items()
        }
        assert story.source_data["zoned"].utcoffset() == row["zoned"].utcoffset() or out_of == "parquet"


def test_json_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    line = (
        '{"id":9007199254740993,"big":123456789012345678901234567890,"tenth":0.1,"zero":-0.0,'
        '"long":100000000000000000000000.5,"nested":{"deep":[9007199254740995,0.1]}}'
    )
    (tmp_path / "in.jsonl").write_text(f"{line}\n", encoding="utf-8")
    pipeline = {
        "source": {"plugin": "json", "options": {"path": f"{tmp_path}/in.jsonl"}},
        "sinks": {"output": {"plugin": "json", "options": {"path": f"{tmp_path}/out.jsonl"}}},
        "landscape": {"url": f"sqlite:///{tmp_path}/audit.db"},
    }
    (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
    assert run(tmp_path / "p.yaml", environ={}).status == "completed"
    assert (tmp_path / "out.jsonl").read_text("utf-8") == f"{line}\n"


def test_nested_parquet_comes_out_nested(tmp_path: Path) -> None:
    rows = [
        {
            "id": 1,
            "tags": ["a", None],
            "who": {"name": "x", "since": date(2020, 1, 2)},
            "items": [{"n": 9}],
        },
        {"id": 2, "tags": [], "who": None, "items": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    pipeline = {
        "source": {"plugin": "parquet", "options": {"path": f"{tmp_path}/in.parquet"}},
        "gates": [
            {"name": "both", "condition": "row['id'] > 0", "routes": {"true": ["p", "j"], "false": "j"}}
        ],
        "sinks": {
            "p": {"plugin": "parquet", "options": {"path": f"{tmp_path}/out.parquet"}},
            "j": {"plugin": "json", "options": {"path": f"{tmp_path}/out.jsonl"}},
        },
        "landscape": {"url": f"sqlite:///{tmp_path}/audit.db"},
    }
    (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
    assert run(tmp_path / "p.yaml", environ={}).status == "completed"
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == rows
    lines = [orjson.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert lines[0]["items"] == [{"n": 9}]
    assert lines[0]["who"] == {"name": "x", "since": "2020-01-02"}
    assert lines[1] == rows[1]


def test_instants_of_several_zones_stay_the_same_instants(tmp_path: Path) -> None:
    text = "at\n2024-03-31T02:30:00.123456+02:00\n2024-01-01T00:00:00Z\n"
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    options = {"path": f"{tmp_path}/in.csv", "schema": {"mode": "fixed", "fields": ["at: datetime"]}}
    pipeline = {
        "source": {"plugin": "csv", "options": options},
        "sinks": {"output": {"plugin": "parquet", "options": {"path": f"{tmp_path}/out.parquet"}}},
        "landscape": {"url": f"sqlite:///{tmp_path}/audit.db"},
    }
    (tmp_path / "p.yaml").write_text(json.dumps(pipeline), encoding="utf-8")
    run(tmp_path / "p.yaml", environ={})
    assert [row["at"].astimezone(UTC) for row in pq.read_table(tmp_path / "out.parquet").to_pylist()] == [
        datetime(2024, 3, 31, 0, 30, 0, 123456, tzinfo=UTC),
        datetime(2024, 1, 1, tzinfo=UTC),
    ]
