"""Bad days of the service: nothing lost, nothing doubled, no row refused that could be written."""

import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from elspeth.testing.azurite import Azurite
from elspeth.testing.fault_proxy import Fault, FaultProxy, mixed

ROWS = [{"id": number, "text": f"row {number} " + "x" * 500} for number in range(120)]


@pytest.fixture(params=[1, 2, 3])
def bad_days(request: pytest.FixtureRequest, storage: Any) -> Iterator[FaultProxy]:
    """Every third request meets a fault; sources and sinks of the test go through it."""
    with FaultProxy(storage.server.endpoint, mixed(request.param, 0.33)) as proxy:
        storage.more = {
            "connection_string": Azurite.connection_string_for(proxy.endpoint),
            "max_attempts": 20,
            "initial_delay_seconds": 0.001,
        }
        yield proxy


@pytest.mark.parametrize("overwrite", [True, False])
def test_one_blob_per_run(storage: Any, bad_days: FaultProxy, context: Any, overwrite: bool) -> None:
    sink = storage.sink(blob_path="out.jsonl", block_size=64 * 1024, overwrite=overwrite)
    sink.on_start(context("run-1", 0))
    for first in range(0, len(ROWS), 8):
        assert not sink.write(ROWS[first : first + 8], context("run-1", 8, first=first))
        sink.flush()
    artifact = sink.publish()
    sink.close()
    assert [json.loads(line) for line in storage.get("out.jsonl").splitlines()] == ROWS
    assert artifact.rows == len(ROWS)
    assert bad_days.counts()[Fault.NONE] < len(bad_days.seen)


@pytest.mark.parametrize("overwrite", [True, False])
def test_one_blob_per_row(storage: Any, bad_days: FaultProxy, context: Any, overwrite: bool) -> None:
    sink = storage.sink(blob_name_template="{row_id}.json", overwrite=overwrite)
    sink.on_start(context("run-1", 0))
    assert sink.write(ROWS, context("run-1", len(ROWS))) == []
    sink.flush()
    assert sink.publish().rows == len(ROWS)
    sink.close()
    found = [json.loads(storage.get(f"run-1-{number}.json")) for number in range(len(ROWS))]
    assert found == ROWS
    assert len(storage.names()) == len(ROWS)
    assert bad_days.counts()[Fault.LOST] > 0


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_blob_per_so_many_rows(storage: Any, bad_days: FaultProxy, context: Any, overwrite: bool) -> None:
    options = {"blob_path": "out.jsonl", "rows_per_blob": 25, "overwrite": overwrite}
    position = None
    for first in range(0, len(ROWS), 40):
        sink = storage.sink(**options)
        sink.on_start(context("run-1", 0))
        if position:
            sink.restore(position)
        sink.write(ROWS[first : first + 40], context("run-1", 40, first=first))
        sink.flush()
        position = json.loads(json.dumps(sink.position()))
        if first < 80:
            sink.close()  # killed
    artifact = sink.publish()
    sink.close()
    blobs = [storage.get(name) for name in storage.names()]
    assert [json.loads(line) for data in blobs for line in data.splitlines()] == ROWS
    assert [part.content_hash for part in artifact.parts] == [
        hashlib.sha256(one).hexdigest() for one in blobs
    ]
    assert bad_days.counts()[Fault.NONE] < len(bad_days.seen)


@pytest.mark.parametrize("quick", [False, True])
def test_reading(storage: Any, bad_days: FaultProxy, quick: bool) -> None:
    for number in range(40):
        rows = ROWS[number * 3 : number * 3 + 3]
        storage.put(f"{number:03}.json", json.dumps(rows))
    rows = storage.rows(blob_fields=[], quick_reads=quick and find_spec("obstore") is not None)
    assert [{key: row[key] for key in ("id", "text")} for row in rows] == ROWS
    assert bad_days.counts()[Fault.CUT] > 0


def test_killed_and_resumed_on_a_bad_day(storage: Any, bad_days: FaultProxy, context: Any) -> None:
    position = None
    for first in range(0, len(ROWS), 40):
        sink = storage.sink(blob_path="out.csv", block_size=64 * 1024)
        sink.on_start(context("run-1", 0))
        if position:
            sink.restore(position)
        sink.write(ROWS[first : first + 40], context("run-1", 40, first=first))
        sink.flush()
        position = json.loads(json.dumps(sink.position()))
        sink.write([{"id": -1, "text": "never committed"}], context("run-1", 1, first=999))
        sink.flush()
        if first < 80:
            sink.close()
    sink.restore(position)
    sink.publish()
    sink.close()
    assert [row["id"] for row in storage.rows(blob_path="out.csv", format="csv")] == list(range(120))
    assert len(bad_days.seen) > 0
