"""OpenLineage events of real runs: required fields, schemas, column lineage, parents, and endpoints."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from elspeth.api.export import export
from elspeth.api.resume import resume
from elspeth.api.run import run
from elspeth.contracts.errors import LandscapeError, RunInterruptedError, SourceError, UsageError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.export.openlineage import dataset, run_uuid
from elspeth.core.landscape.records import NodeRecord, RunRecord
from elspeth.core.landscape.tables import run_events_table

PIPELINE = """
source: {{plugin: csv, options: {{path: orders.csv, schema: {{mode: fixed, fields: [
  "id: int", "amount: float", "parts: int", "note: str?"]}}}}}}
transforms:
  - {{name: names, plugin: field_mapper, options: {{mapping: {{amount: price}}}}}}
  - name: sums
    plugin: value_transform
    options: {{operations: [
      {{target: each, expression: "row['price'] / row['parts']"}},
      {{target: doubled, expression: "row['each'] * 2"}}]}}
gates:
  - name: size
    condition: "row['price'] > 100"
    routes: {{"true": large, "false": small}}
sinks:
  large: {{plugin: csv, options: {{path: large.csv}}}}
  small: {{plugin: csv, options: {{path: small.csv}}}}
{more}
"""
ORDERS = "id,amount,parts,note\n1,12.5,1,x\n2,200,2,\n"
TORN = """
source: {plugin: json, options: {path: torn.json}}
sinks: {output: {plugin: csv, options: {path: out.csv}}}
landscape: {export: {enabled: true, path: sent.jsonl, format: openlineage}}
"""
PARENT = "6f1d8a52-0c11-4b6e-9d5b-111111111111"
FACETS = {
    "schema": {"fields"}, "columnLineage": {"fields"}, "parent": {"run", "job"},
    "errorMessage": {"message", "programmingLanguage"}, "processing_engine": {"version"},
    "jobType": {"processingType", "integration"}, "outputStatistics": set(), "elspeth": set(),
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENLINEAGE_NAMESPACE", "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    return tmp_path


def pipeline(here: Path, more: str = "") -> Path:
    path = here / "pipeline.yaml"
    path.write_text(PIPELINE.format(more=more), encoding="utf-8")
    return path


def events(here: Path) -> list[dict[str, Any]]:
    export("latest", here / "events.jsonl", format="openlineage")
    return [json.loads(line) for line in (here / "events.jsonl").read_text("utf-8").splitlines()]


def check_event(event: Mapping[str, Any]) -> None:
    """The required fields of OpenLineage.json, and those of each facet's own schema."""
    assert {"eventTime", "producer", "schemaURL", "run", "job", "eventType"} <= set(event)
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert str(UUID(event["run"]["runId"])) == event["run"]["runId"]
    assert event["job"]["namespace"]
    assert event["job"]["name"]
    holders = [event["run"].get("facets"), event["job"].get("facets")]
    for data in (*event["inputs"], *event["outputs"]):
        assert data["namespace"]
        assert data["name"]
        holders += [data.get("facets"), data.get("outputFacets")]
    for holder in holders:
        for name, facet in (holder or {}).items():
            assert {"_producer", "_schemaURL"} | FACETS[name] <= set(facet)
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")


def test_a_run_starts_and_completes(here: Path) -> None:
    result = run(pipeline(here))
    start, complete = events(here)
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    for event in (start, complete):
        check_event(event)
        assert event["run"]["runId"] == run_uuid(result.run_id)
        assert event["job"]["name"].endswith("pipeline.yaml")
        [source] = event["inputs"]
        assert (source["namespace"], source["name"]) == ("file", str(here / "orders.csv"))
    assert start["eventTime"] < complete["eventTime"]
    sizes = {Path(o["name"]).name: o["outputFacets"]["outputStatistics"] for o in complete["outputs"]}
    assert {name: size["rowCount"] for name, size in sizes.items()} == {"large.csv": 1, "small.csv": 1}
    assert sizes["large.csv"]["size"] == (here / "large.csv").stat().st_size


def test_columns_lead_back_to_the_columns_that_they_came_from(here: Path) -> None:
    run(pipeline(here))
    large = next(o for o in events(here)[1]["outputs"] if o["name"].endswith("large.csv"))
    lineage = large["facets"]["columnLineage"]
    found = {
        name: sorted((i["field"], i["transformations"][0]["subtype"]) for i in item["inputFields"])
        for name, item in lineage["fields"].items()
    }
    computed = [("amount", "TRANSFORMATION"), ("parts", "TRANSFORMATION")]
    assert found == {
        "id": [("id", "IDENTITY")],
        "price": [("amount", "IDENTITY")],
        "parts": [("parts", "IDENTITY")],
        "note": [("note", "IDENTITY")],
        "each": computed,
        "doubled": computed,
    }
    assert [(i["field"], i["transformations"][0]["type"]) for i in lineage["dataset"]] == [
        ("amount", "INDIRECT")
    ]
    types = {item["name"]: item.get("type") for item in large["facets"]["schema"]["fields"]}
    assert types == {
        "id": "int", "price": "float", "parts": "int", "note": "str", "each": None, "doubled": None,
    }  # fmt: skip


def test_parent_and_namespace_come_from_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(pipeline(here))
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "finance")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/dag.task/sub/{PARENT}")
    for event in events(here):
        check_event(event)
        assert event["job"]["namespace"] == "finance"
        parent = event["run"]["facets"]["parent"]
        assert parent["run"] == {"runId": PARENT}
        assert parent["job"] == {"namespace": "airflow", "name": "dag.task/sub"}
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "nonsense")
    assert all("parent" not in event["run"]["facets"] for event in events(here))


def test_a_run_that_fails_says_so_after_the_run(here: Path) -> None:
    (here / "torn.json").write_text("[" + '{"id": 1}, ' * 5000 + '{"id"', encoding="utf-8")
    path = here / "torn.yaml"
    path.write_text(TORN, encoding="utf-8")
    with pytest.raises(SourceError):
        run(path)
    start, failed = [json.loads(line) for line in (here / "sent.jsonl").read_text("utf-8").splitlines()]
    check_event(failed)
    assert [start["eventType"], failed["eventType"]] == ["START", "FAIL"]
    assert failed["run"]["facets"]["errorMessage"]["message"]


def test_a_run_that_somebody_stopped_was_aborted(here: Path) -> None:
    with pytest.raises(RunInterruptedError):
        run(pipeline(here), stop=lambda: True)
    assert [event["eventType"] for event in events(here)] == ["START", "ABORT"]


class Collector(HTTPServer):
    def __init__(self, status: int) -> None:
        self.status, self.got = status, list[tuple[dict[str, str], Any]]()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://me:hunter2-canary@127.0.0.1:{self.server_port}/api/v1/lineage"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(params=[201])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    server = Collector(request.param)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_events_go_to_an_endpoint_with_the_key(
    here: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pipeline(here))
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "key-1")
    made = export("latest", collector.url, format="openlineage")
    assert "hunter2" not in made.target
    assert [event["eventType"] for _, event in collector.got] == ["START", "COMPLETE"]
    assert {headers["Authorization"] for headers, _ in collector.got} == {"Bearer key-1"}


@pytest.mark.parametrize("collector", [500], indirect=True)
def test_an_endpoint_that_refuses_never_fails_the_run(
    here: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    more = f"landscape: {{export: {{enabled: true, path: '{collector.url}', format: openlineage}}}}"
    with caplog.at_level(logging.WARNING):
        result = run(pipeline(here, more))
    assert result.status == "completed"
    assert "500" in caplog.text
    assert "hunter2" not in caplog.text
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with db.engine.connect() as connection:
        events = connection.execute(run_events_table.select()).all()
    db.close()
    assert [event.kind for event in events] == ["export_failed"]
    assert "hunter2" not in events[0].detail


def sending(here: Path, target: str) -> Path:
    return pipeline(here, f"landscape: {{export: {{enabled: true, path: '{target}', format: openlineage}}}}")


def until(there: Callable[[], object]) -> bool:
    """Waits for what a thread does; False: do not stop the run."""
    for _ in range(2000):
        if there():
            return False
        time.sleep(0.005)
    raise AssertionError("nothing came")


def test_the_start_is_sent_as_the_run_begins(here: Path, collector: Collector) -> None:
    seen: list[str] = []

    def look() -> bool:
        until(lambda: collector.got)
        seen[:] = [event["eventType"] for _, event in collector.got]
        return False

    run(sending(here, collector.url), stop=look)
    assert seen == ["START"]
    for _, event in collector.got:
        check_event(event)
    (_, start), (_, complete) = collector.got
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert [data["name"] for data in start["outputs"]][:2] == [
        str(here / "large.csv"),
        str(here / "small.csv"),
    ]


def test_a_resume_says_that_the_run_goes_on(here: Path, collector: Collector) -> None:
    with pytest.raises(RunInterruptedError):
        run(sending(here, collector.url), stop=lambda: True)
    resume()
    assert [event["eventType"] for _, event in collector.got] == ["START", "ABORT", "RUNNING", "COMPLETE"]
    assert len({event["run"]["runId"] for _, event in collector.got}) == 1
    with pytest.raises(UsageError):
        resume()
    assert len(collector.got) == 4


def test_an_endpoint_that_comes_up_late_hears_of_the_start_too(
    here: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 503

    def look() -> bool:
        until(lambda: "tried again" in caplog.text)
        collector.status = 201
        return False

    with caplog.at_level(logging.WARNING):
        assert run(sending(here, collector.url), stop=look).status == "completed"
    assert "refused an event: 503" in caplog.text
    assert "the run goes on, and it is tried again when it is over" in caplog.text
    assert [event["eventType"] for _, event in collector.got] == ["START", "START", "COMPLETE"]


def test_a_file_has_the_start_while_the_run_goes_on(here: Path) -> None:
    seen: list[str] = []

    def look() -> bool:
        seen[:] = (here / "sent.jsonl").read_text("utf-8").splitlines()
        return False

    run(sending(here, "sent.jsonl"), stop=look)
    assert [json.loads(line)["eventType"] for line in seen] == ["START"]
    lines = (here / "sent.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["eventType"] for line in lines] == ["START", "COMPLETE"]


def test_an_endpoint_that_is_not_there_is_an_error_without_credentials(
    here: Path, collector: Collector
) -> None:
    run(pipeline(here))
    with pytest.raises(LandscapeError, match=r"no event could be sent to http://me:\[redacted\]@") as raised:
        export("latest", "http://me:hunter2-canary@127.0.0.1:1/x", format="openlineage")
    assert "hunter2" not in str(raised.value)


def test_a_table_is_named_by_its_database_without_credentials() -> None:
    options = {"url": "postgresql+psycopg://me:pw@db:5433/shop", "table": "orders"}
    node = NodeRecord("n", "database", "sink", "1", "io", "c", json.dumps({"options": options}), 0, None)
    now = datetime.fromisoformat("2026-11-21T00:00:00+00:00")
    record = RunRecord(1, "r", now, None, "running", "c", "{}", "live", "p.yaml", "0", None)
    assert dataset(record, node) == {"namespace": "postgresql://db:5433", "name": "shop.orders"}
    record_of_nothing = NodeRecord("n", "null", "sink", "1", "io", "c", "{}", 0, None)
    assert dataset(record, record_of_nothing) == {"namespace": "elspeth", "name": "p.yaml.n"}
