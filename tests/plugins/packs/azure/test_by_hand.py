"""Source and sink used without an engine: by a notebook, or by a test with whatever it has for a context."""

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from elspeth.contracts import PluginContext
from elspeth.contracts.errors import SinkError
from elspeth.contracts.tokens import TokenInfo
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder


def token(number: int) -> TokenInfo:
    return TokenInfo(f"row-{number}", f"token-{number}")


@pytest.mark.parametrize(
    "ctx",
    [
        PluginContext(run_id="run-1", token=token(1)),
        PluginContext(run_id="run-1", tokens=[token(1)]),
        SimpleNamespace(run_id="run-1", row_id="row-1", token_id="token-1"),
        SimpleNamespace(run_id="run-1", token=token(1), landscape=None),
        MagicMock(run_id="run-1", token=token(1)),
    ],
)
def test_the_ids_come_from_any_context(storage: Any, ctx: Any) -> None:
    sink = storage.sink(blob_name_template="out/{run_id}/{row_id}.json")
    sink.on_start(ctx)
    assert sink.write({"id": 1}, ctx) == []
    sink.flush()
    sink.close()
    assert storage.names() == ["out/run-1/row-1.json"]


@pytest.mark.parametrize("ctx", [None, MagicMock(run_id="run-1"), SimpleNamespace(run_id="run-1")])
def test_no_id_is_made_up(storage: Any, ctx: Any) -> None:
    ctx = ctx or SimpleNamespace()
    sink = storage.sink(blob_name_template="out/{row_id}.json")
    sink.on_start(ctx)
    with pytest.raises(SinkError, match=r"has \{row_id\}, but the context does not tell it"):
        sink.write({"id": 1}, ctx)
    sink.close()


def test_one_token_is_not_that_of_two_rows(storage: Any) -> None:
    ctx = PluginContext(run_id="run-1", token=token(1))
    sink = storage.sink(blob_name_template="out/{row_id}.json")
    sink.on_start(ctx)
    with pytest.raises(SinkError, match="does not tell it of every row"):
        sink.write([{"id": 1}, {"id": 2}], ctx)
    assert sink.write({"id": 1}, ctx) == []
    assert sink.write({"id": 1}, ctx) == []  # the same row again
    (failure,) = sink.write({"id": 2}, ctx)
    sink.close()
    assert "is that of another row of this run" in failure.reason
    assert json.loads(storage.get("out/row-1.json")) == {"id": 1}


@pytest.mark.parametrize("ctx", [None, MagicMock(run_id="run-1"), SimpleNamespace(run_id="run-1")])
def test_several_writes_with_any_context(storage: Any, ctx: Any) -> None:
    storage.put("in/a.json", '[{"id": 1}, {"id": 2}]')
    storage.put("in/b.json", '{"id": 3}')
    source, sink = storage.source(blob_pattern="in/*", blob_fields=()), storage.sink(blob_path="out.jsonl")
    sink.on_start(ctx)
    for row in source.load(ctx):
        sink.write(row, ctx)
    sink.flush()
    sink.close()
    source.close()
    assert [json.loads(line)["id"] for line in storage.get("out.jsonl").splitlines()] == [1, 2, 3]


def test_calls_go_to_the_landscape_of_the_write(storage: Any) -> None:
    storage.put("out.jsonl", "mine")
    db = LandscapeDB.in_memory()
    recorder = LandscapeRecorder(db)
    sink = storage.sink(blob_path="out.jsonl", overwrite=False)
    sink.on_start(SimpleNamespace(run_id="run-1"))
    with pytest.raises(SinkError, match="exists already"):
        sink.write({"id": 1}, SimpleNamespace(run_id="run-1", landscape=recorder, state_id="state-1"))
    sink.close()
    (call,) = recorder.get_external_calls(state_id="state-1")
    db.close()
    assert (call.status, call.call_type) == ("error", "blob")
    assert json.loads(str(call.error))["reason"] == "blob_exists"
