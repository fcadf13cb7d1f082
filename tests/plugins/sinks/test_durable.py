"""What a commit goes by is on the disk before it. Nobody pulls a plug: it is seen who waits for the disk."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.plugins import PluginContext
from elspeth.core.landscape.database import LandscapeDB
from elspeth.plugins.registry import load_catalog

SINKS = {
    "csv": {"path": "out.csv"},
    "json": {"path": "out.jsonl"},
    "text": {"path": "out.txt", "field": "text"},
    "parquet": {"path": "out.parquet"},
}


@pytest.mark.parametrize("name", SINKS)
def test_a_flush_waits_until_the_rows_are_on_the_disk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    synced: list[tuple[int, int]] = []
    sync = os.fsync

    def watched(handle: int) -> None:
        sync(handle)
        found = os.fstat(handle)
        synced.append((found.st_ino, found.st_size))

    monkeypatch.setattr(os, "fsync", watched)
    sink: Any = load_catalog().sink(name)(SINKS[name])
    ctx = PluginContext(run_id="20261121T021530Z-abcdef", node_id="out")
    sink.on_start(ctx)
    sink.write([{"id": 1, "text": "a"}, {"id": 2, "text": "b"}], ctx)
    sink.flush()
    [part] = tmp_path.glob(".*.part")
    assert (part.stat().st_ino, sink.position()["bytes"]) in synced
    sink.close()


def test_the_landscape_waits_for_the_disk_with_each_commit(sqlite_url: str) -> None:
    db = LandscapeDB.from_url(sqlite_url)
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    db.close()


@pytest.mark.parametrize("published", [False, True])
def test_who_dies_while_it_takes_a_file_over_leaves_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    ctx = PluginContext(run_id="20261121T021530Z-abcdef", node_id="out")

    def begun() -> Any:
        sink: Any = load_catalog().sink("json")({"path": "out.jsonl"})
        sink.on_start(ctx)
        return sink

    first = begun()
    first.write([{"id": number} for number in range(100)], ctx)
    first.flush()
    position = first.position()
    if published:
        first.publish()
    first.close()

    def cut_short(source: Any, target: Any) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:7])
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", cut_short)
    with pytest.raises(KeyboardInterrupt):
        begun().restore(position)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    again = begun()
    again.restore(position)
    again.publish()
    assert [json.loads(line)["id"] for line in Path("out.jsonl").read_text().splitlines()] == list(range(100))


@pytest.mark.parametrize("policy", ["overwrite", "fail_if_exists"])
def test_the_whole_file_takes_its_name_and_no_copy_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ctx = PluginContext(run_id="20261121T021530Z-abcdef", node_id="out")
    sink: Any = load_catalog().sink("csv")({"path": "out.csv", "collision_policy": policy})
    sink.on_start(ctx)
    sink.write([{"id": 1}], ctx)
    sink.flush()
    [part] = tmp_path.glob(".*.part")
    written = part.stat().st_ino
    sink.publish()
    assert Path("out.csv").stat().st_ino == written
    assert not part.exists()
