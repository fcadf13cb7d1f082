"""Rows in one blob per so many rows, against a real blob service."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from elspeth.contracts import PluginContext
from elspeth.contracts.errors import SinkError
from elspeth.plugins.packs.azure.sink_options import numbered

ROWS = [{"id": number, "text": "é" * (number % 5)} for number in range(25)]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("out/a.jsonl", "out/a-{part}.jsonl"),
        ("{part}/a.csv", "{part}/a.csv"),
        ("plain", "plain-{part}"),
        ("v1.2/plain", "v1.2/plain-{part}"),
        (".hidden", ".hidden-{part}"),
    ],
)
def test_where_the_number_goes(given: str, meant: str) -> None:
    assert numbered(given) == meant


def ids(data: bytes, form: str) -> list[int]:
    if form == "parquet":
        return [int(value) for value in pq.read_table(pa.BufferReader(data)).column("id").to_pylist()]
    if form == "json":
        return [row["id"] for row in json.loads(data)]
    lines = data.decode().splitlines()
    return [int(line.split(",")[0]) for line in lines[1:]] if form == "csv" else [
        json.loads(line)["id"] for line in lines
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv", "json", "parquet"])
def test_every_blob_is_whole_and_on_record(storage: Any, context: Any, form: str) -> None:
    sink = storage.sink(blob_path=f"out/{{run_id}}.{form}", rows_per_blob=10)
    sink.on_start(context("run-1", 0))
    for first in range(0, 25, 7):
        rows = ROWS[first : first + 7]
        assert list(sink.write(rows, context("run-1", len(rows), first))) == []
        sink.flush()
    artifact = sink.publish()
    sink.close()
    assert storage.names() == [f"out/run-1-0000{number}.{form}" for number in range(3)]
    assert artifact.path_or_uri.endswith(f"out/run-1-0000*.{form}")
    assert artifact.rows == 25
    assert [part.rows for part in artifact.parts] == [10, 10, 5]
    seen: list[int] = []
    for name, part in zip(storage.names(), artifact.parts, strict=True):
        data = storage.get(name)
        assert part.path_or_uri.endswith(name)
        assert part.size_bytes == len(data)
        assert part.content_hash == hashlib.sha256(data).hexdigest()
        seen += ids(data, form)
    assert seen == list(range(25))
    assert artifact.size_bytes == sum(part.size_bytes or 0 for part in artifact.parts)


def test_a_full_blob_is_visible_once_its_rows_are_on_record(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_path="out.jsonl", rows_per_blob=10)
    sink.on_start(context("run-1", 0))
    sink.write(ROWS, context("run-1", 25))
    sink.flush()
    assert storage.names() == []
    sink.flush()
    assert storage.names() == ["out-00000.jsonl", "out-00001.jsonl"]
    sink.close()
    assert storage.names() == ["out-00000.jsonl", "out-00001.jsonl"]


@pytest.mark.parametrize(
    ("form", "overwrite"), [("jsonl", False), ("csv", True), ("json", True), ("parquet", True)]
)
def test_resume_at_every_commit(storage: Any, context: Any, form: str, overwrite: bool) -> None:
    options = {"rows_per_blob": 4, "overwrite": overwrite}
    for killed_after in range(5):
        run_id = f"run-{killed_after}"
        path = f"{run_id}/{overwrite}.{form}"
        first = storage.sink(blob_path=path, **options)
        first.on_start(context(run_id, 0))
        position = None
        for group in range(5):
            first.write(ROWS[group * 5 : group * 5 + 5], context(run_id, 5, group * 5))
            first.flush()
            if group == killed_after:
                position = json.loads(json.dumps(first.position()))
            if group == killed_after + 1:
                break  # a commit that never came to be on record
        if killed_after == 4:
            first.publish()
        first.close()
        second = storage.sink(blob_path=path, **options)
        second.on_start(context(run_id, 0))
        assert position is not None
        second.restore(position)
        rest = ROWS[killed_after * 5 + 5 :]
        second.write(rest, context(run_id, len(rest), killed_after * 5 + 5))
        second.flush()
        artifact = second.publish()
        second.close()
        names = [name for name in storage.names() if name.startswith(f"{run_id}/{overwrite}")]
        assert len(names) == len(artifact.parts) == 7
        blobs = [storage.get(name) for name in names]
        assert [number for data in blobs for number in ids(data, form)] == list(range(25))
        assert [part.content_hash for part in artifact.parts] == [
            hashlib.sha256(data).hexdigest() for data in blobs
        ]
        assert artifact.rows == 25


def test_rows_that_fail_do_not_count(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_path="out.jsonl", rows_per_blob=2)
    sink.on_start(context("run-1", 0))
    rows = [{"id": 0}, {"id": float("nan")}, {"id": 2}, {"id": 3}, {"id": float("inf")}]
    assert [failure.index for failure in sink.write(rows, context("run-1", 5))] == [1, 4]
    sink.flush()
    artifact = sink.publish()
    sink.close()
    assert [part.rows for part in artifact.parts] == [2, 1]
    assert ids(storage.get("out-00000.jsonl"), "jsonl") == [0, 2]


def test_no_rows_make_one_empty_blob(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_path="out.json", rows_per_blob=2)
    sink.on_start(context("run-1", 0))
    sink.flush()
    assert len(sink.publish().parts) == 1
    sink.close()
    assert json.loads(storage.get("out-00000.json")) == []


def test_by_hand_every_write_is_there(storage: Any) -> None:
    sink = storage.sink(blob_path="out.csv", rows_per_blob=3)
    ctx = PluginContext(run_id="run-1")
    sink.on_start(ctx)
    sink.write(ROWS[:2], ctx)
    sink.write(ROWS[2:5], ctx)
    sink.flush()
    assert [ids(storage.get(name), "csv") for name in storage.names()] == [[0, 1, 2], [3, 4]]
    sink.write(ROWS[5], ctx)
    sink.write(ROWS[6], ctx)
    sink.close()
    assert [ids(storage.get(name), "csv") for name in storage.names()] == [[0, 1, 2], [3, 4, 5], [6]]


def test_overwrite_false_refuses_each_blob_that_exists(storage: Any, context: Any) -> None:
    storage.put("out-00001.jsonl", "mine")
    sink = storage.sink(blob_path="out.jsonl", rows_per_blob=10, overwrite=False)
    sink.on_start(context("run-1", 0))
    with pytest.raises(SinkError, match=r"out-00001\.jsonl exists already, and overwrite is false"):
        sink.write(ROWS, context("run-1", 25))
    sink.close()
    assert storage.get("out-00001.jsonl") == b"mine"


def test_a_blob_that_is_gone_keeps_the_run_from_going_on(storage: Any, context: Any, tmp_path: Path) -> None:
    first = storage.sink(blob_path="out.jsonl", rows_per_blob=10)
    first.on_start(context("run-1", 0))
    first.write(ROWS, context("run-1", 25))
    first.flush()
    first.flush()
    position = first.position()
    first.close()
    storage.client.delete_blob(storage.container, "out-00000.jsonl")
    second = storage.sink(blob_path="out.jsonl", rows_per_blob=10)
    second.on_start(context("run-1", 0))
    with pytest.raises(SinkError, match=r"out-00000\.jsonl is not there any more as this run wrote it"):
        second.restore(position)
    second.close()


def test_it_needs_blob_path(storage: Any) -> None:
    with pytest.raises(ValidationError, match="rows_per_blob needs blob_path"):
        storage.sink(blob_name_template="{row_id}.json", rows_per_blob=3)
    with pytest.raises(ValidationError, match=r"there is no variable \{part\} here"):
        storage.sink(blob_path="{part}.jsonl")
