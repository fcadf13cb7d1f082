"""Pipelines from blobs to blobs: what came out, and what is on record."""

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth import ElspethError, run, validate
from elspeth.api.runs import show_run
from elspeth.contracts.errors import ConfigurationError
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import KEY, Azurite
from elspeth.testing.fault_proxy import Fault, FaultProxy, mixed

NUMBERS = itertools.count(1)
COUNT = 3000


class Bench:
    """A directory, a container, and pipelines between the two."""

    def __init__(self, server: Azurite, client: AzureBlobClient, home: Path) -> None:
        self.server = server
        self.client = client
        self.home = home
        self.container = f"acceptance-{next(NUMBERS)}"
        client.create_container(self.container)

    def pipeline(self, sinks: dict[str, Any], endpoint: str = "", **source: Any) -> Path:
        storage = {
            "connection_string": Azurite.connection_string_for(endpoint or self.server.endpoint),
            "container": self.container,
            "max_attempts": 20,
            "initial_delay_seconds": 0.001,
        }
        schema = {"mode": "flexible", "fields": ["id: int", "amount: int"]}
        document = {
            "source": {"plugin": "azure_blob", "options": {**storage, "schema": schema, **source}},
            "gates": [
                {
                    "name": "large",
                    "condition": "row['amount'] > 1000",
                    "routes": {"true": "review", "false": "approved"},
                }
            ],
            "sinks": {
                name: {"plugin": "azure_blob", "options": {**storage, **options}}
                for name, options in sinks.items()
            },
        }
        path = self.home / "pipeline.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def ask(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self.home / ".elspeth" / "landscape.db")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


ROWS = [{"id": number, "amount": number % 1500} for number in range(COUNT)]
LARGE = [row for row in ROWS if row["amount"] > 1000]
SMALL = [row for row in ROWS if row["amount"] <= 1000]


@pytest.fixture
def bench(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    with AzureBlobClient(connection_string=azurite.connection_string) as client:
        made = Bench(azurite, client, tmp_path)
        for number in range(3):
            lines = [json.dumps(row) for row in ROWS[number * 1000 : number * 1000 + 1000]]
            client.upload_blob(made.container, f"in/{number}.jsonl", "\n".join(lines))
        yield made


def ids(data: bytes) -> list[int]:
    return [json.loads(line)["id"] for line in data.splitlines()]


def test_from_blobs_to_blobs(bench: Bench) -> None:
    pipeline = bench.pipeline(
        {"review": {"blob_path": "out/review.jsonl"}, "approved": {"blob_path": "out/{run_id}/approved.csv"}},
        blob_pattern="in/*",
    )
    validate(pipeline)
    assert list(bench.client.list_blob_names(bench.container, "out/")) == []
    result = run(pipeline)
    assert result.rows.read == COUNT
    review = bench.client.download_blob(bench.container, "out/review.jsonl")
    assert ids(review) == [row["id"] for row in LARGE]
    approved = bench.client.download_blob(bench.container, f"out/{result.run_id}/approved.csv").decode()
    assert approved.startswith("id,amount,_blob_name,_blob_etag,_blob_index\n")
    assert approved.count("\n") == len(SMALL) + 1
    artifacts = dict(bench.ask("SELECT sink_node_id, content_hash FROM artifacts"))
    assert artifacts["review"] == hashlib.sha256(review).hexdigest()
    found = bench.client.get_blob_properties(bench.container, "out/review.jsonl")
    assert found.metadata["elspeth_run_id"] == result.run_id


def test_a_blob_after_every_so_many_rows(bench: Bench) -> None:
    result = run(
        bench.pipeline(
            {
                "review": {"blob_path": "review.jsonl", "rows_per_blob": 300},
                "approved": {"blob_path": "approved.csv"},
            },
            blob_pattern="in/*",
        )
    )
    names = list(bench.client.list_blob_names(bench.container, "review"))
    blobs = [bench.client.download_blob(bench.container, name) for name in names]
    assert [number for data in blobs for number in ids(data)] == [row["id"] for row in LARGE]
    recorded = bench.ask(
        "SELECT path_or_uri, content_hash, size_bytes, rows FROM artifacts WHERE sink_node_id = 'review'"
    )
    assert sorted(recorded) == [
        (
            f"{bench.server.url}/{bench.container}/{name}",
            hashlib.sha256(data).hexdigest(),
            len(data),
            data.count(b"\n"),
        )
        for name, data in zip(names, blobs, strict=True)
    ]
    assert result.sinks["review"].path == f"{bench.server.url}/{bench.container}/review-0000*.jsonl"
    (sink,) = [one for one in show_run(result.run_id).sinks if one.sink == "review"]
    assert sink.artifact is not None
    assert sink.artifact.size_bytes == sum(map(len, blobs))
    assert len(sink.parts) == len(blobs) == -(-len(LARGE) // 300)


def test_every_call_is_on_record_and_no_secret_is(bench: Bench) -> None:
    run(
        bench.pipeline(
            {"review": {"blob_path": "review.jsonl"}, "approved": {"blob_path": "approved.jsonl"}},
            blob_pattern="in/*",
        )
    )
    calls = [
        (json.loads(request), json.loads(response), status, latency)
        for request, response, status, latency in bench.ask(
            "SELECT request, response, status, latency_ms FROM calls WHERE call_type = 'blob'"
        )
    ]
    operations = [request["operation"] for request, *_ in calls]
    assert operations.count("download_blob") == 3
    assert operations.count("commit_block_list") == 2
    assert {"list_blobs", "stage_block"} <= set(operations)
    assert all(status == "success" and latency > 0 for _, _, status, latency in calls)
    assert all(response["request_id"] and response["status"] < 300 for _, response, *_ in calls)
    down = [(request, response) for request, response, *_ in calls if request["operation"] == "download_blob"]
    assert all(request["if_match"] == response["etag"] for request, response in down)
    for file in (bench.home / ".elspeth").iterdir():
        data = file.read_bytes() if file.is_file() else b""
        assert KEY[:20].encode() not in data
        assert b"sig=" not in data


def test_overwrite_false(bench: Bench) -> None:
    bench.client.upload_blob(bench.container, "review.jsonl", b"mine")
    pipeline = bench.pipeline(
        {
            "review": {"blob_path": "review.jsonl", "overwrite": False},
            "approved": {"blob_path": "approved.jsonl"},
        },
        blob_pattern="in/*",
    )
    with pytest.raises(ElspethError, match=r"review\.jsonl exists already, and overwrite is false"):
        run(pipeline)
    assert bench.client.download_blob(bench.container, "review.jsonl") == b"mine"
    assert not bench.client.exists(bench.container, "approved.jsonl")
    ((request, error),) = bench.ask("SELECT request, error FROM calls WHERE status = 'error'")
    assert json.loads(error)["reason"] == "blob_exists"
    assert json.loads(request)["blob"] == "review.jsonl"
    assert bench.ask("SELECT status FROM runs") == [("failed",)]


def test_one_blob_per_row_with_names_from_rows(bench: Bench) -> None:
    bench.client.upload_blob(
        bench.container, "few.json", json.dumps([{"id": 1, "amount": 2000}, {"id": 2, "amount": 3000},
                                                 {"id": 2, "amount": 4000}, {"id": 3, "amount": 1}])
    )  # fmt: skip
    result = run(
        bench.pipeline(
            {
                "review": {"blob_name_template": "cases/{field:id}.json", "overwrite": False},
                "approved": {"blob_name_template": "fine/{run_id}/{row_id}.json"},
            },
            blob_path="few.json",
        )
    )
    assert list(bench.client.list_blob_names(bench.container, "cases/")) == ["cases/1.json", "cases/2.json"]
    assert json.loads(bench.client.download_blob(bench.container, "cases/2.json"))["amount"] == 3000
    (name,) = bench.client.list_blob_names(bench.container, "fine/")
    assert name == f"fine/{result.run_id}/{result.run_id}-3.json"
    assert result.rows.failed + result.rows.quarantined == 1


def test_a_changed_blob_is_quarantined_and_the_others_go_on(bench: Bench) -> None:
    bench.client.upload_blob(bench.container, "in/1.jsonl", b"not json\n", overwrite=True)
    bench.client.set_tier(bench.container, "in/2.jsonl", "Archive")
    result = run(
        bench.pipeline(
            {"review": {"blob_path": "review.jsonl"}, "approved": {"blob_path": "approved.jsonl"}},
            blob_pattern="in/*",
        )
    )
    assert result.rows.read == 1002
    assert result.rows.quarantined == 2
    reasons = " ".join(row[0] for row in bench.ask("SELECT reason FROM validation_errors"))
    assert "archived" in reasons
    assert "is not JSON" in reasons


def test_a_bad_day_of_the_service(bench: Bench) -> None:
    with FaultProxy(bench.server.endpoint, mixed(7, 0.3)) as proxy:
        result = run(
            bench.pipeline(
                {
                    "review": {"blob_path": "review.jsonl", "block_size": 65536, "overwrite": False},
                    "approved": {"blob_path": "approved.jsonl", "block_size": 65536},
                },
                proxy.endpoint,
                blob_pattern="in/*",
            )
        )
        assert proxy.counts()[Fault.NONE] < len(proxy.seen)
    assert result.rows.read == COUNT
    assert ids(bench.client.download_blob(bench.container, "review.jsonl")) == [row["id"] for row in LARGE]
    assert ids(bench.client.download_blob(bench.container, "approved.jsonl")) == [row["id"] for row in SMALL]
    assert bench.ask("SELECT count(*) FROM calls WHERE attempt > 1")[0][0] > 0


def test_what_is_wrong_in_the_file_is_told_with_its_place(bench: Bench) -> None:
    pipeline = bench.pipeline(
        {"review": {"blob_path": "same.jsonl"}, "approved": {"blob_path": "same.jsonl"}}, blob_pattern="in/*"
    )
    with pytest.raises(ConfigurationError, match=r"would write to .*same\.jsonl, and so does sink"):
        validate(pipeline)
    pipeline.write_text(pipeline.read_text().replace("  plugin: azure_blob", "  plugin: azure_blobs"))
    with pytest.raises(ConfigurationError, match="did you mean 'azure_blob'"):
        validate(pipeline)
