"""Runs as they stand on record."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from elspeth.api.runs import list_runs, show_run
from elspeth.contracts.errors import NotFoundError
from elspeth.core.landscape.database import LandscapeDB

FIRST, SECOND = "20261121T021530Z-abcdef", "20261121T021630Z-zzzzzz"


@pytest.fixture
def database(landscape_url: str, record_orders: Callable[..., Any], recording: Any) -> str:
    db = LandscapeDB.from_url(landscape_url)
    run = record_orders(db, FIRST)
    recording(db, SECOND, run.started_at + timedelta(minutes=1))
    db.close()
    return landscape_url


def test_runs_are_listed_newest_first(database: str) -> None:
    assert [run.run_id for run in list_runs(database)] == [SECOND, FIRST]
    assert [run.status for run in list_runs(database, limit=1)] == ["running"]


def test_a_run_is_summed_up(database: str) -> None:
    told = show_run(FIRST, database).to_dict()
    assert json.loads(json.dumps(told)) == told
    assert (told["status"], told["duration_s"]) == ("completed_with_failures", 2.0)
    assert told["rows"] == {"read": 6, "quarantined": 1, "failed": 1}
    assert told["outcomes"] == {
        "COMPLETED": 6, "EXPANDED": 1, "FAILED": 1, "FORKED": 2, "QUARANTINED": 1, "ROUTED": 1,
    }  # fmt: skip
    assert told["sinks"]["approved"] == {
        "plugin": "sink_plugin", "path": "out/approved.csv", "sha256": "ab" * 32, "bytes": 120, "rows": 3,
    }  # fmt: skip
    assert told["sinks"]["review"]["rows"] == 2
    assert told["sinks"]["review"]["path"] is None
    tidy = next(node for node in told["nodes"] if node["node_id"] == "tidy")
    assert tidy["states"] == {"completed": 3, "failed": 2}
    assert (tidy["mean_ms"], tidy["p95_ms"], tidy["sampled"]) == (pytest.approx(0.01), 0.01, 5)
    assert [(group["node_id"], group["error"], group["count"]) for group in told["errors"]] == [
        ("orders", "amt: 'many' is not a decimal", 1),
        ("tidy", "busy", 1),
    ]


def test_a_run_that_has_just_begun(database: str) -> None:
    told = show_run("latest", database).to_dict()
    assert (told["run_id"], told["duration_s"], told["outcomes"], told["errors"]) == (SECOND, None, {}, [])


def test_without_any_run_there_is_advice(landscape_url: str) -> None:
    LandscapeDB.from_url(landscape_url).close()
    assert list_runs(landscape_url) == []
    with pytest.raises(NotFoundError, match="no run is on record here\n  fix: run a pipeline first"):
        show_run("latest", landscape_url)
    with pytest.raises(NotFoundError, match="there is no run 'x': no run is on record here"):
        show_run("x", landscape_url)
