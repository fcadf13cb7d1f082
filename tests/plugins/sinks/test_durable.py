"""What a commit goes by is on the disk before it. Nobody pulls a plug: it is seen who waits for the disk."""

import os
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
