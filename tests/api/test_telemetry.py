"""Spans of runs, seen by a receiver on this machine that speaks OTLP over HTTP."""

import gzip
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import elspeth
from elspeth.contracts.errors import ConfigurationError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.testing.llm import Behaviour, LoopbackLLM

PIPELINE = """
source: {{plugin: csv, options: {{path: rows.csv}}}}
transforms:
  - name: ask
    plugin: llm
    options:
      model: test-model
      base_url: {llm}/v1
      api_key: sk-very-secret-key
      temperature: 0.5
      max_tokens: 9
      prompt_template: "Say {{{{ row.text }}}}"
      initial_delay_seconds: 0.01
gates:
  - name: odd
    condition: "row['id'] % 2 == 1"
    routes: {{"true": review, "false": output}}
sinks:
  output: {{plugin: csv, options: {{path: out.csv}}}}
  review: {{plugin: csv, options: {{path: review.csv}}}}
telemetry:
  enabled: true
  granularity: {granularity}
  content: {content}
  exporters:
    - name: otlp
      options:
        endpoint: "{receiver}/v1/traces"
        headers: {{x-token: otlp-secret-token}}
        timeout_seconds: 2
"""


class Receiver:
    """Keeps every span that is sent to it, as plain values, and the headers of requests."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Nobody reads this."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        self.raw += body
        self.headers.append(headers)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_plain(resource.resource.attributes))
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        {"name": span.name, "trace": span.trace_id, "id": span.span_id,
                         "parent": span.parent_span_id, "kind": span.kind, "status": span.status.code,
                         "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
                         **_plain(span.attributes)}
                    )  # fmt: skip

    def named(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _plain(attributes: Any) -> dict[str, Any]:
    found = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        found[attribute.key] = (
            [each.string_value for each in value.values] if kind == "array_value" else value
        )
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.stop()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Iterator[Callable[..., Any]]:
    monkeypatch.chdir(tmp_path)
    behaviour = Behaviour(error_rate=0.3, faults=("500",), seed=3)
    with LoopbackLLM(behaviour) as server:

        def start(granularity: str = "full", content: str = "false", **more: Any) -> Any:
            Path("rows.csv").write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(10)))
            at = more.get("receiver", receiver.url)
            text = PIPELINE.format(llm=server.url, receiver=at, granularity=granularity, content=content)
            Path("pipeline.yaml").write_text(text)
            return elspeth.run("pipeline.yaml"), server

        yield start


def test_a_call_is_a_span_under_its_row_under_its_node_under_its_run(run: Any, receiver: Receiver) -> None:
    result, server = run()
    (whole,) = receiver.named("run")
    (node,) = receiver.named("transform ask")
    states = {span["id"]: span for span in receiver.named("ask")}
    calls = receiver.named("chat test-model")
    assert len(calls) == server.calls > 10
    assert {span["trace"] for span in receiver.spans} == {whole["trace"]}
    assert (whole["parent"], whole["elspeth.run_id"], whole["elspeth.status"]) == (
        b"",
        result.run_id,
        "completed",
    )
    assert node["parent"] == whole["id"]
    assert {state["parent"] for state in states.values()} == {node["id"]}
    assert len({span["id"] for span in receiver.spans}) == len(receiver.spans)
    for call in calls:
        state = states[call["parent"]]
        assert state["elspeth.state_id"] == call["elspeth.state_id"]
        assert state["start"] <= call["start"] <= call["end"] <= state["end"]
        assert whole["start"] <= state["start"] <= state["end"] <= whole["end"]
    # Every state on record is a span, and no other.
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT state_id FROM node_states")
        recorded = {row[0] for row in rows}
    db.close()
    assert {
        span["elspeth.state_id"]
        for span in receiver.spans
        if "elspeth.status" in span and "elspeth.state_id" in span
    } == recorded


def test_calls_are_told_of_in_the_words_of_the_conventions(run: Any, receiver: Receiver) -> None:
    _, server = run()
    good = [call for call in receiver.named("chat test-model") if call["status"] == 0]
    assert len(good) == 10
    for call in good:
        assert call["kind"] == 3  # a client
        assert {
            name: call[name]
            for name in call
            if name.startswith(("gen_ai.request", "gen_ai.op", "gen_ai.prov"))
        } == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "test-model",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 9,
        }
        assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (3, 3)
        assert call["gen_ai.response.finish_reasons"] == ["stop"]
        assert call["gen_ai.response.model"] == "test-model"
        assert call["gen_ai.response.id"].startswith("chatcmpl-")
        assert (call["server.address"], call["server.port"]) == ("127.0.0.1", server.port)
    bad = [call for call in receiver.named("chat test-model") if call["status"] == 2]
    assert len(bad) == server.faults["500"] > 0
    assert {(call["error.type"], call["http.response.status_code"]) for call in bad} == {
        ("server_error", 500)
    }
    assert {resource["service.name"] for resource in receiver.resources} == {"elspeth"}


def test_what_was_said_is_told_only_if_somebody_asks(run: Any, receiver: Receiver) -> None:
    run()
    assert b"Say row" not in receiver.raw
    assert b"sk-very-secret-key" not in receiver.raw
    assert receiver.headers[0]["x-token"] == "otlp-secret-token"
    receiver.spans.clear()
    run(content="true")
    calls = [call for call in receiver.named("chat test-model") if call["status"] == 0]
    asked = {orjson.loads(call["gen_ai.input.messages"])[0]["parts"][0]["content"] for call in calls}
    assert asked == {f"Say row {number}" for number in range(10)}
    (said,) = orjson.loads(calls[0]["gen_ai.output.messages"])
    assert (said["role"], said["finish_reason"]) == ("assistant", "stop")
    assert b"sk-very-secret-key" not in receiver.raw


@pytest.mark.parametrize(("granularity", "rows", "calls"), [("lifecycle", 0, False), ("rows", 10, False)])
def test_less_is_told_if_less_is_wanted(
    run: Any, receiver: Receiver, granularity: str, rows: int, calls: bool
) -> None:
    run(granularity)
    names = Counter(span["name"] for span in receiver.spans)
    assert names["ask"] == names["odd"] == rows
    assert bool(names["chat test-model"]) is calls
    assert names["run"] == names["gate odd"] == names["source source"] == names["sink review"] == 1


def test_the_secret_of_a_receiver_is_not_on_record(run: Any) -> None:
    result, _ = run()
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with db.engine.connect() as connection:
        row = connection.exec_driver_sql("SELECT settings_json FROM runs").one()
    db.close()
    assert "otlp-secret-token" not in row[0]
    assert result.status == "completed"


def test_a_receiver_that_is_not_there_stops_nobody(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="elspeth.telemetry"):
        result, _ = run("rows", receiver="http://127.0.0.1:9")
    assert result.status == "completed"
    assert any("spans could not be sent" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("telemetry", "what"),
    [
        ("{enabled: true}", "telemetry is enabled, but nobody receives it"),
        ("{exporters: [{name: otlb}]}", "did you mean 'otlp'"),
        ("{exporters: [{name: otlp, options: {endpiont: x}}]}", "has no option 'endpiont'"),
        ("{exporters: [{name: otlp, options: {timeout_seconds: long}}]}", "timeout_seconds must be a number"),
    ],
)
def test_what_can_t_be_is_said(tmp_path: Path, telemetry: str, what: str) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        "source: {plugin: 'null'}\nsinks: {output: {plugin: 'null'}}\n" + f"telemetry: {telemetry}\n"
    )
    with pytest.raises(ConfigurationError, match=what.replace("(", "\\(")):
        elspeth.validate(path)


def test_a_console_is_written_to_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipeline.yaml").write_text(
        "source: {plugin: 'null'}\nsinks: {output: {plugin: 'null'}}\n"
        "telemetry: {enabled: true, exporters: [{name: console}]}\n"
    )
    elspeth.run("pipeline.yaml")
    out, err = capsys.readouterr()
    assert out == ""
    assert {orjson.loads(line)["name"] for line in err.splitlines()} >= {"run", "source source"}
