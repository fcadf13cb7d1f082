"""Each thing that can go wrong is a kind; what may pass is tried again; one row's trouble is its own."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from elspeth.plugins.llm.completion import read_completion
from elspeth.plugins.llm.errors import Failure, Kind, http_failure, retry_after
from elspeth.testing.llm import completion

ROWS = [{"text": "hello"}]
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def error(code: str | None = None, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, error("content_filter"), "content_filter", False),
        (400, error(None, innererror={"code": "ResponsibleAIPolicyViolation"}), "content_filter", False),
        (400, error("context_length_exceeded"), "context_too_long", False),
        (400, error(None, "This model's maximum context length is 8192 tokens"), "context_too_long", False),
        (400, error(None, "temperature is wrong"), "bad_request", False),
        (401, error("invalid_api_key"), "refused_key", False),
        (403, error(), "refused_key", False),
        (
            403,
            error("403", metadata={"reasons": ["violence"], "flagged_input": "…"}),
            "content_filter",
            False,
        ),
        (402, error(), "quota_exceeded", False),
        (404, error("DeploymentNotFound"), "model_not_found", False),
        (429, error("insufficient_quota"), "quota_exceeded", False),
        (429, error("rate_limit_exceeded"), "rate_limited", True),
        (500, {}, "server_error", True),
        (502, b"<html>Bad gateway</html>", "server_error", True),
        (503, error(), "overloaded", True),
        (529, error(), "overloaded", True),
        (200, b'{"choices": [{"mess', "malformed_response", True),
        (200, {"choices": []}, "malformed_response", True),
        (200, ["?"], "malformed_response", True),
        (200, error(429, "upstream"), "rate_limited", True),
        (
            200,
            {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
            "content_filter",
            False,
        ),
        (200, {"choices": [{"message": {"content": None, "refusal": "I can't"}}]}, "refusal", False),
        (200, {"choices": [{"message": {"content": ""}, "finish_reason": "refusal"}]}, "refusal", False),
    ],
)
def test_kinds(
    serve: Callable[..., Any], ask: Any, status: int, body: Any, kind: str, retryable: bool
) -> None:
    server = serve(reply=(status, body), retry_after="0.01")
    result = ask(server, ROWS, max_attempts=2, max_delay_seconds=0.01)[0]
    assert (result.status, result.reason["kind"], result.retryable) == ("error", kind, retryable)
    assert result.reason["attempts"] == server.calls
    assert (server.calls > 1) is retryable


def test_a_service_that_is_not_there_is_an_error_of_the_row(ask: Any) -> None:
    result = ask("http://127.0.0.1:9/v1", ROWS, max_attempts=2)[0]
    assert (result.reason["kind"], result.retryable) == ("connection_failed", True)
    assert "can't be reached" in result.reason["error"]


def test_a_service_that_says_nothing_is_timed_out(serve: Callable[..., Any], ask: Any) -> None:
    server = serve(together=99)
    result = ask(server, ROWS, max_attempts=1, first_byte_timeout_seconds=0.05)[0]
    assert (result.reason["kind"], result.reason["error"]) == ("timeout", "nothing came for 0.05 s")
    result = ask(server, ROWS, max_attempts=1, timeout_seconds=0.05)[0]
    assert result.reason["error"] == "no answer within 0.05 s"


@pytest.fixture
def trickle() -> Iterator[Callable[..., str]]:
    """Starts a server that sends an answer's head, then so many spaces, one each 20 ms, then what is left."""
    with ExitStack() as stack:

        def start(spaces: int, *, whole: bool) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            done = threading.Event()

            def serve() -> None:
                connection, _ = listening.accept()
                with connection, suppress(OSError):  # who gave up has closed
                    connection.recv(65536)
                    body = completion("slowly", {"messages": []}, 1)
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + spaces}\r\n\r\n"
                    connection.sendall(head.encode())
                    for _ in range(spaces):
                        time.sleep(0.02)
                        connection.sendall(b" ")
                    if whole:
                        connection.sendall(body)
                    done.wait(30)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(done.set)
            return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"

        yield start


def test_a_server_that_keeps_on_sending_is_waited_for(trickle: Callable[..., str], ask: Any) -> None:
    # A gateway sends spaces while its model thinks: longer than one may be silent.
    result = ask(trickle(50, whole=True), ROWS[:1], max_attempts=1, first_byte_timeout_seconds=0.6)[0]
    assert result.row["llm_response"] == "slowly"


def test_one_that_falls_silent_in_the_middle_is_not(trickle: Callable[..., str], ask: Any) -> None:
    result = ask(trickle(3, whole=False), ROWS[:1], max_attempts=1, first_byte_timeout_seconds=0.2)[0]
    assert result.reason["error"] == "nothing came for 0.2 s"


def test_nor_one_that_goes_on_for_ever(trickle: Callable[..., str], ask: Any) -> None:
    result = ask(trickle(100, whole=False), ROWS[:1], max_attempts=1, timeout_seconds=0.3)[0]
    assert result.reason["error"] == "no answer within 0.3 s"


@pytest.mark.parametrize("fault", ["429", "500", "503", "malformed", "truncated", "disconnect"])
def test_what_passes_is_tried_again(serve: Callable[..., Any], ask: Any, fault: str) -> None:
    server = serve(error_rate=0.5, faults=(fault,), seed=3, retry_after="0.01")
    results = ask(server, [{"text": str(number)} for number in range(20)], max_attempts=40)
    assert [result.row["llm_response"] for result in results.all()] == [f"Say {n}" for n in range(20)]
    assert server.faults[fault] == server.calls - 20 > 0


def test_a_bad_row_does_not_stop_the_others(server: Any, ask: Any) -> None:
    results = ask(server, [{"text": "a"}, {"other": 1}, {"text": "c"}, {"text": "\ud800"}])
    assert [result.status for result in results.all()] == ["success", "error", "success", "error"]
    assert results[1].reason == {
        "error": "the template needs 'text', which is missing; the row has 'other'",
        "kind": "missing_field",
        "field": "text",
    }
    assert results[3].reason["kind"] == "invalid_text"
    assert server.calls == 2


def test_a_service_that_is_down_opens_the_breaker_and_rows_are_given_up(
    serve: Callable[..., Any], ask: Any
) -> None:
    server = serve(reply=(500, {}))
    transform = ask.transform(server, pool_size=4, max_attempts=50, circuit_wait_seconds=0)
    results = ask.feed(transform, [{"text": str(number)} for number in range(60)])
    kinds = {result.reason["kind"] for result in results.all()}
    assert kinds == {"circuit_open"}
    assert transform.get_batch_metrics()["breaker"] == "open"
    assert server.calls < 60


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
    assert http_failure(429, {}, headers, NOW).retry_after == seconds


def test_a_failure_is_rebuilt_from_its_record() -> None:
    failure = Failure(Kind.RATE_LIMITED, "slow down", 429, "x", 2.0, "req-1")
    assert Failure.from_facts(failure.facts()) == failure


def test_an_answer_in_parts_is_one_text_and_costs_are_the_providers() -> None:
    parts = [{"type": "text", "text": text} for text in "ab"]
    choice = {"message": {"content": parts}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.25}
    body = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    answer = read_completion(200, {"x-request-id": "r1"}, body)
    assert (answer.text, answer.tokens_out, str(answer.cost), answer.request_id) == ("ab", 2, "0.25", "r1")
