"""All records of a run in files are what the tables and views hold, in one order, with the rows' data."""

import csv
import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select, update

from elspeth.contracts.errors import LandscapeError, UsageError
from elspeth.core.canonical import load, row_digest
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.export.record_types import RECORD_TYPES
from elspeth.core.landscape.export.write import Exported, write_records
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.schema import metadata, view_metadata
from elspeth.core.landscape.tables import run_events_table, traces_table

RUN = "20261121T021530Z-abcdef"
DATA = {"source_data", "start_data", "input_data", "output_data"}


@pytest.fixture
def orders(landscape: LandscapeDB, record_orders: Callable[..., Any]) -> LandscapeDB:
    record_orders(landscape, RUN)
    record_orders(landscape, "20261121T021530Z-zzzzzz")
    return landscape


@pytest.fixture
def small(sqlite_url: str, record_orders: Callable[..., Any]) -> LandscapeDB:
    db = LandscapeDB.from_url(sqlite_url)
    record_orders(db, RUN)
    return db


def write(db: LandscapeDB, target: Path, form: str = "jsonl") -> Exported:
    with db.engine.connect() as connection:
        return write_records(connection, LandscapeReader(db).run(RUN), target, form)


def lines(directory: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / f"{name}.jsonl").read_text("utf-8").splitlines()]


def sql(db: LandscapeDB, name: str) -> list[dict[str, Any]]:
    """What SQL gives of this run, as JSON has it."""
    table = {**view_metadata.tables, **metadata.tables}[name]
    with db.engine.connect() as connection:
        found = [dict(row) for row in connection.execute(select(table)).mappings()]
        if "run_no" in table.columns and "run_id" not in table.columns:
            run_no = LandscapeReader(db).run(RUN).run_no
            found = [{**row, "run_id": RUN} for row in found if row["run_no"] == run_no]
    own = [row for row in found if str(row.get("run_id") or next(iter(row.values()))).startswith(RUN)]
    return [
        {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()
         if key not in ("run_no", "batch_no")}
        for row in own
    ]  # fmt: skip


@pytest.mark.parametrize("name", RECORD_TYPES)
def test_every_record_type_is_what_sql_gives(orders: LandscapeDB, tmp_path: Path, name: str) -> None:
    write(orders, tmp_path / "out")
    exported = lines(tmp_path / "out", name)
    flat = []
    for record in exported:
        kept = {key: value for key, value in record.items() if key not in DATA}
        if name in ("token_parents", "batch_members"):
            del kept["run_id"]
        if isinstance(kept.get("reason"), dict):
            kept["reason"] = json.dumps(kept["reason"], separators=(",", ":"))
        flat.append(kept)
    key = sorted(flat[0]) if flat else []
    assert sorted(flat, key=lambda r: [str(r[k]) for k in key]) == sorted(
        sql(orders, name), key=lambda r: [str(r[k]) for k in key]
    )
    if name in ("runs", "nodes", "edges", "rows", "tokens", "node_states", "routing_events", "artifacts"):
        assert flat


def test_the_rows_data_have_the_recorded_hashes(small: LandscapeDB, tmp_path: Path) -> None:
    write(small, tmp_path / "out")
    rows = lines(tmp_path / "out", "rows")
    assert [row["row_index"] for row in rows] == list(range(6))
    for row in rows:
        assert row_digest(load(json.dumps(row["source_data"]))).hex() == row["source_data_hash"]
    changed = [state for state in lines(tmp_path / "out", "node_states") if state["output_data"] is not None]
    assert changed
    for state in changed:
        assert row_digest(load(json.dumps(state["output_data"]))).hex() == state["output_hash"]
        assert state["output_hash"] != state["input_hash"]


def test_tokens_that_brought_a_row_of_their_own_show_it(small: LandscapeDB, tmp_path: Path) -> None:
    write(small, tmp_path / "out")
    started = [t["start_data"] for t in lines(tmp_path / "out", "tokens") if t["start_data"] is not None]
    assert started == [{"id": 5, "sku": "a"}, {"id": 5, "sku": "b"}]


def test_the_manifest_names_every_file_with_its_hash(small: LandscapeDB, tmp_path: Path) -> None:
    made = write(small, tmp_path / "out")
    manifest = json.loads(made.manifest.read_text("utf-8"))
    assert manifest["run_id"] == RUN
    assert set(manifest["files"]) == {f"{name}.jsonl" for name in RECORD_TYPES}
    for name, file in manifest["files"].items():
        content = (tmp_path / "out" / name).read_bytes()
        assert file == {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "records": manifest["records"][name.removesuffix(".jsonl")],
        }
        assert content.count(b"\n") == file["records"]


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_two_exports_are_the_same_byte_for_byte(small: LandscapeDB, tmp_path: Path, form: str) -> None:
    first, second = write(small, tmp_path / "a", form), write(small, tmp_path / "b", form)
    assert first.manifest.read_bytes() == second.manifest.read_bytes()
    assert first.records == second.records
    again = write(small, tmp_path / "a", form)
    assert again.manifest.read_bytes() == first.manifest.read_bytes()
    assert not list((tmp_path / "a").glob("*.part"))


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_the_forms_hold_the_same_records(small: LandscapeDB, tmp_path: Path, form: str) -> None:
    write(small, tmp_path / "lines")
    write(small, tmp_path / "other", form)
    for name, record_type in RECORD_TYPES.items():
        expected = lines(tmp_path / "lines", name)
        found = read(tmp_path / "other" / f"{name}.{form}", form)
        assert [list(record) for record in found] == [list(record_type.names) for _ in expected]
        for record, other in zip(expected, found, strict=True):
            for key, value in record.items():
                assert same(value, other[key]), (name, key)


def read(path: Path, form: str) -> list[dict[str, Any]]:
    if form == "json":
        found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        return found
    if form == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    return list(pq.read_table(path).to_pylist())


def same(value: Any, other: Any) -> bool:
    if value is None:
        return other in (None, "")
    if isinstance(value, dict | list):
        return value == (json.loads(other) if isinstance(other, str) else other)
    if isinstance(other, datetime):
        return datetime.fromisoformat(value) == other
    if isinstance(other, str) and isinstance(value, int | float):
        return Decimal(other) == Decimal(str(value))
    return bool(value == other)


def test_one_file_holds_all_records(small: LandscapeDB, tmp_path: Path) -> None:
    made = write(small, tmp_path / "deep" / "run.jsonl")
    records = [json.loads(line) for line in (tmp_path / "deep" / "run.jsonl").read_text("utf-8").splitlines()]
    assert records[0]["record_type"] == "runs"
    assert len(records) == sum(made.records.values())
    assert made.manifest == tmp_path / "deep" / "run.jsonl.manifest.json"


def test_a_run_s_history_is_exported(small: LandscapeDB, tmp_path: Path) -> None:
    run = LandscapeReader(small).run(RUN)
    with small.engine.begin() as connection:
        connection.execute(
            run_events_table.insert().values(
                run_no=run.run_no, ordinal=0, kind="resumed", detail="{}", created_at=run.started_at
            )
        )
    write(small, tmp_path / "out")
    assert [(e["run_id"], e["kind"]) for e in lines(tmp_path / "out", "run_events")] == [(RUN, "resumed")]


def test_an_altered_record_stops_the_export_and_leaves_nothing(small: LandscapeDB, tmp_path: Path) -> None:
    with small.engine.begin() as connection:
        connection.execute(
            update(traces_table).where(traces_table.c.row_no == 2, traces_table.c.token_no == 0)
            .values(payload='[2,"9","x",null]')
        )  # fmt: skip
    with pytest.raises(LandscapeError, match="row 2, token 0"):
        write(small, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_what_is_not_an_export_is_not_touched(small: LandscapeDB, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="not an export"):
        write(small, tmp_path / "letters")
    with pytest.raises(UsageError, match="is a file"):
        write(small, tmp_path / "letters" / "dear.txt")
    assert (tmp_path / "letters" / "dear.txt").read_text("utf-8") == "x"
