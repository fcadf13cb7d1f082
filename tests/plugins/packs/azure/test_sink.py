"""The azure_blob sink against a real blob service."""

import hashlib
import json
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from elspeth.contracts import PluginContext
from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import SinkError
from elspeth.contracts.tokens import TokenInfo
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.stepwise.states import StateStart
from elspeth.plugins.packs.azure import AzureBlobSink

ROWS = [{"id": number, "name": f"n{number}"} for number in range(6)]
FORMATS = ["out.jsonl", "out.json", "out.csv"]


def test_identity() -> None:
    assert AzureBlobSink.name == "azure_blob"
    assert AzureBlobSink.idempotent is True
    assert AzureBlobSink.determinism is Determinism.IO_DEPENDENT
    assert AzureBlobSink.plugin_version


def test_one_blob_per_row(storage: Any) -> None:
    sink = storage.sink(blob_name_template="output/{run_id}/{row_id}.json")
    ctx = PluginContext(run_id="run-123", token=TokenInfo("row-456", "token-789"))
    sink.on_start(ctx)
    assert not sink.write({"id": 1}, ctx)
    sink.flush()
    sink.close()
    assert storage.names() == ["output/run-123/row-456.json"]
    assert json.loads(storage.get("output/run-123/row-456.json")) == {"id": 1}


def test_one_blob_per_row_of_a_batch(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_name_template="{run_id}/{field:name}-{token_id}.json")
    ctx = context("run-1", 6)
    sink.on_start(ctx)
    assert sink.write(ROWS, ctx) == []
    sink.flush()
    artifact = sink.publish()
    sink.close()
    assert storage.names() == [f"run-1/n{number}-run-1-{number}-0.json" for number in range(6)]
    assert artifact.rows == 6
    assert artifact.size_bytes == sum(len(storage.get(name)) for name in storage.names())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../up", "would escape its prefix"),
        ("a/../../up", "would escape its prefix"),
        ("", "is empty"),
        (None, "is empty"),
        ("x" * 1100, "characters, and 1024 are allowed"),
        ("tab\there", "control characters"),
        ("/rooted", "two in a row"),
    ],
)
def test_a_bad_name_is_an_error_of_its_row(storage: Any, context: Any, name: Any, reason: str) -> None:
    sink = storage.sink(blob_name_template="safe/{field:name}.json")
    ctx = context("run-1", 3)
    sink.on_start(ctx)
    failures = sink.write([{"name": "a"}, {"name": name}, {"name": "b"}], ctx)
    sink.close()
    assert [failure.index for failure in failures] == [1]
    assert reason in failures[0].reason
    assert storage.names() == ["safe/a.json", "safe/b.json"]


def test_a_name_that_another_row_has_is_an_error(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_name_template="{field:name}.json")
    sink.on_start(context("run-1", 0))
    assert [one.index for one in sink.write([{"name": "a"}, {"name": "a"}], context("run-1", 2))] == [1]
    (failure,) = sink.write([{"name": "a"}], context("run-1", 1, first=2))
    sink.close()
    assert "that of another row of this run, run-1-0-0" in failure.reason


def test_a_row_written_again_after_a_crash_is_the_same_blob(storage: Any, context: Any) -> None:
    for overwrite in (True, False):
        template = f"{overwrite}/{{row_id}}.json"
        first = storage.sink(blob_name_template=template, overwrite=overwrite)
        first.on_start(context("run-1", 0))
        first.write(ROWS[:2], context("run-1", 2))
        first.flush()
        position = json.loads(json.dumps(first.position()))
        first.write(ROWS[2:4], context("run-1", 2, first=2))
        first.close()
        second = storage.sink(blob_name_template=template, overwrite=overwrite)
        second.on_start(context("run-1", 0))
        second.restore(position)
        assert second.write(ROWS[2:], context("run-1", 4, first=2)) == []
        second.flush()
        assert second.publish().rows == 6
        second.close()


def test_after_a_crash_no_earlier_rows_blob_is_overwritten(storage: Any, context: Any) -> None:
    first = storage.sink(blob_name_template="{field:name}.json")
    first.on_start(context("run-1", 0))
    first.write([{"name": "a", "id": 1}], context("run-1", 1))
    first.flush()
    position = first.position()
    first.close()
    second = storage.sink(blob_name_template="{field:name}.json")
    second.on_start(context("run-1", 0))
    second.restore(position)
    (failure,) = second.write([{"name": "a", "id": 2}], context("run-1", 1, first=1))
    second.close()
    assert "another row of this run" in failure.reason
    assert json.loads(storage.get("a.json"))["id"] == 1


@pytest.mark.parametrize("path", FORMATS)
def test_every_write_is_in_the_blob(storage: Any, path: str) -> None:
    """By hand, as a notebook would: no engine, no publish()."""
    sink = storage.sink(blob_path=path)
    ctx = PluginContext(run_id="run-1")
    sink.on_start(ctx)
    sink.write(ROWS[:2], ctx)
    sink.write(ROWS[2:5], ctx)
    sink.flush()
    seen = storage.rows(blob_path=path, format=path.partition(".")[2], blob_fields=())
    assert [row["id"] for row in seen] == [0, 1, 2, 3, 4]
    sink.write(ROWS[5], ctx)
    sink.close()
    seen = storage.rows(blob_path=path, format=path.partition(".")[2], blob_fields=())
    assert [row["id"] for row in seen] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("path", [*FORMATS, "out.parquet"])
def test_nothing_is_visible_before_it_is_published(storage: Any, context: Any, path: str) -> None:
    sink = storage.sink(blob_path=path)
    sink.on_start(context("run-1", 0))
    sink.write(ROWS[:3], context("run-1", 3))
    sink.flush()
    sink.write(ROWS[3:], context("run-1", 3, first=3))
    sink.flush()
    assert storage.names() == []
    artifact = sink.publish()
    sink.close()
    data = storage.get(path)
    assert artifact.content_hash == hashlib.sha256(data).hexdigest()
    assert artifact.size_bytes == len(data)
    assert artifact.rows == 6
    assert artifact.path_or_uri.endswith(f"/{storage.container}/{path}")
    found = storage.client.get_blob_properties(storage.container, path)
    assert found.metadata["elspeth_run_id"] == "run-1"
    assert found.metadata["elspeth_sha256"] == artifact.content_hash


def test_a_failed_run_leaves_nothing(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_path="out.jsonl")
    sink.on_start(context("run-1", 0))
    sink.write(ROWS, context("run-1", 6))
    sink.flush()
    sink.position()
    sink.close()
    assert storage.names() == []


def test_parquet_reads_back(storage: Any, context: Any, tmp_path: Any) -> None:
    sink = storage.sink(blob_path="out.parquet", compression="snappy")
    sink.on_start(context("run-1", 0))
    sink.write(ROWS, context("run-1", 6))
    sink.flush()
    sink.publish()
    sink.close()
    (tmp_path / "back.parquet").write_bytes(storage.get("out.parquet"))
    assert pq.read_table(tmp_path / "back.parquet").to_pylist() == ROWS
    assert not list((tmp_path / ".elspeth").rglob("*.*"))


@pytest.mark.parametrize("path", [*FORMATS, "out.parquet"])
@pytest.mark.parametrize("block_size", [64 * 1024, 4 * 1024 * 1024])
def test_resume_at_every_commit(storage: Any, context: Any, path: str, block_size: int) -> None:
    rows = [{"id": number, "text": "x" * 9_000} for number in range(24)]
    groups = [rows[start : start + 4] for start in range(0, 24, 4)]

    def run(run_id: str, name: str, crashes: set[int]) -> bytes:
        position: Any = None
        sink = None
        for number, group in enumerate(groups):
            if sink is None:
                sink = storage.sink(blob_path=name, block_size=block_size)
                sink.on_start(context(run_id, 0))
                if position is not None:
                    sink.restore(position)
            if number in crashes:  # written and flushed, but never committed
                sink.write(group, context(run_id, 4, first=number * 4))
                sink.flush()
                sink.close()
                sink = storage.sink(blob_path=name, block_size=block_size)
                sink.on_start(context(run_id, 0))
                if position is not None:
                    sink.restore(position)
            sink.write(group, context(run_id, 4, first=number * 4))
            sink.flush()
            position = json.loads(json.dumps(sink.position()))
        assert sink is not None
        artifact = sink.publish()
        sink.close()
        data: bytes = storage.get(name)
        assert artifact.content_hash == hashlib.sha256(data).hexdigest()
        assert artifact.rows == 24
        found = storage.client.get_blob_properties(storage.container, name)
        assert found.metadata["elspeth_sha256"] == artifact.content_hash
        return data

    whole = run("run-a", f"whole/{path}", set())
    assert run("run-b", f"once/{path}", {3}) == whole
    assert run("run-c", f"often/{path}", {0, 1, 2, 5}) == whole


def test_a_crash_after_publishing_is_resumed(storage: Any, context: Any) -> None:
    for overwrite in (True, False):
        name = f"{overwrite}.json"
        sink = storage.sink(blob_path=name, overwrite=overwrite)
        sink.on_start(context("run-1", 0))
        sink.write(ROWS, context("run-1", 6))
        sink.flush()
        position = json.loads(json.dumps(sink.position()))
        first = sink.publish()
        sink.close()
        again = storage.sink(blob_path=name, overwrite=overwrite)
        again.on_start(context("run-1", 0))
        again.restore(position)
        assert again.publish() == first
        again.close()


def test_blocks_that_are_gone_are_an_error(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_path="out.jsonl")
    sink.on_start(context("run-1", 0))
    sink.write(ROWS, context("run-1", 6))
    sink.flush()
    position = sink.position()
    sink.close()
    storage.client.upload_blob_staged(storage.container, "out.jsonl", b"somebody else's")
    again = storage.sink(blob_path="out.jsonl")
    again.on_start(context("run-1", 0))
    with pytest.raises(SinkError, match=r"blocks of .*out\.jsonl that are on record are gone"):
        again.restore(position)
    again.close()
    assert storage.get("out.jsonl") == b"somebody else's"


@pytest.mark.parametrize("option", [{"blob_path": "out.csv"}, {"blob_name_template": "out.csv"}])
def test_overwrite_false_fails_with_a_call_on_record(storage: Any, option: dict[str, str]) -> None:
    storage.put("out.csv", "mine")
    db = LandscapeDB.in_memory()
    recorder = LandscapeRecorder(db)
    ctx = PluginContext(
        run_id="run-1", node_id="out", token=TokenInfo("row", "token"), landscape=recorder, state_id="state-1"
    )
    sink = storage.sink(
        **option, overwrite=False, **({"format": "json"} if "template" in str(option) else {})
    )
    sink.on_start(ctx)
    with pytest.raises(SinkError, match=r"out\.csv exists already, and overwrite is false"):
        sink.write({"id": 1}, ctx)
    sink.close()
    assert storage.get("out.csv") == b"mine"
    (failed,) = [call for call in recorder.get_external_calls("state-1") if call.status == "error"]
    assert failed.call_type == "blob"
    assert json.loads(failed.error)["reason"] == "blob_exists"
    request = json.loads(failed.request)
    assert (request["container"], request["blob"]) == (storage.container, "out.csv")
    assert request["overwrite"] is False
    db.close()


def test_a_blob_that_comes_into_being_meanwhile_is_not_overwritten(storage: Any, context: Any) -> None:
    sink = storage.sink(blob_path="out.jsonl", overwrite=False)
    sink.on_start(context("run-1", 0))
    sink.write(ROWS, context("run-1", 6))
    storage.put("out.jsonl", "quicker")
    sink.flush()
    with pytest.raises(SinkError, match="exists already"):
        sink.publish()
    sink.close()
    assert storage.get("out.jsonl") == b"quicker"


def test_what_is_shown_before_the_end_does_not_spoil_the_hash(storage: Any, context: Any) -> None:
    first = storage.sink(blob_path="out.json")
    first.on_start(context("run-1", 0))
    first.write(ROWS[:2], context("run-1", 2))
    first.flush()
    position = first.position()
    first.close()
    second = storage.sink(blob_path="out.json")
    ctx = PluginContext(run_id="run-1")
    second.on_start(ctx)
    second.restore(position)
    second.write(ROWS[2:4], ctx)
    second.write([], ctx)
    second.flush()
    assert [row["id"] for row in json.loads(storage.get("out.json"))] == [0, 1, 2, 3]
    second.write(ROWS[4], ctx)
    artifact = second.publish()
    second.close()
    assert [row["id"] for row in json.loads(storage.get("out.json"))] == [0, 1, 2, 3, 4]
    assert artifact.content_hash == hashlib.sha256(storage.get("out.json")).hexdigest()


def test_run_id_in_the_path_tags_and_content_type(storage: Any, context: Any) -> None:
    sink = storage.sink(
        blob_path="runs/{run_id}/out.csv",
        tags={"run": "{run_id}"},
        metadata={"team": "a"},
        content_type="text/x",
    )
    sink.on_start(context("run-7", 0))
    sink.write(ROWS, context("run-7", 6))
    sink.flush()
    sink.publish()
    sink.close()
    found = storage.client.get_blob_properties(storage.container, "runs/run-7/out.csv")
    assert (found.content_type, found.metadata["team"]) == ("text/x", "a")
    assert storage.client.get_tags(storage.container, "runs/run-7/out.csv") == {"run": "run-7"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give blob_name_template"),
        ({"blob_path": "a", "blob_name_template": "b"}, "give blob_name_template"),
        (
            {"blob_name_template": "{rowid}.json"},
            r"there is no variable \{rowid\} here; there are \{run_id\}",
        ),
        ({"blob_name_template": "../{row_id}.json"}, "would escape"),
        ({"blob_path": "{row_id}.json"}, r"there is no variable \{row_id\} here"),
        ({"blob_name_template": "{row_id}.csv", "format": "csv"}, "one blob per row can be json or text"),
        ({"blob_path": "a.jsonl", "delimiter": ";"}, "delimiter is no option of format jsonl"),
        ({"blob_path": "a.csv", "delimiter": ";;"}, "delimiter"),
        ({"blob_path": "a.csv", "account_key": "x"}, "2 were given: connection_string, account_key"),
        ({"blob_path": "a.csv", "connection_string": None}, "no credential was given"),
    ],
)
def test_options_that_contradict_each_other(storage: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        storage.sink(**options)


def test_a_container_that_is_not_there(storage: Any, context: Any) -> None:
    sink = storage.sink(container="nowhere", blob_path="a.jsonl")
    sink.on_start(context("run-1", 0))
    sink.write(ROWS, context("run-1", 6))
    with pytest.raises(SinkError, match="container not found") as caught:
        sink.flush()
    sink.close()
    assert "create the container" in caught.value.fix
    made = storage.sink(container="made-here", blob_path="a.jsonl", create_container=True)
    made.on_start(context("run-1", 0))
    made.write(ROWS, context("run-1", 6))
    made.flush()
    made.publish()
    made.close()


def test_the_call_belongs_to_the_state_of_the_token(storage: Any) -> None:
    storage.put("a.json", "mine")
    db = LandscapeDB.in_memory()
    recorder = LandscapeRecorder(db)
    token = recorder.create_token("row-1")
    state = recorder.record_node_state(token.token_id, StateStart("out"))
    ctx = PluginContext(run_id="run-1", node_id="out", token=token, landscape=recorder)
    sink = storage.sink(blob_name_template="a.json", overwrite=False)
    sink.on_start(ctx)
    with pytest.raises(SinkError):
        sink.write({"id": 1}, ctx)
    sink.close()
    assert [call.status for call in recorder.get_external_calls(state)] == ["error", "success"]
    db.close()
