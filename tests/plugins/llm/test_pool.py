"""The pool is full, rows come back one for one, and nobody waits for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from elspeth.contracts import PluginContext, TokenInfo, TransformResult
from elspeth.contracts.errors import PluginError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.engine.batch_adapter import SharedBatchAdapter
from elspeth.engine.executors import TransformExecutor
from elspeth.plugins.llm.azure import AzureLLMTransform, AzureOpenAIConfig
from elspeth.testing.llm import Behaviour

FOUR = {name: {"template": f"{name}? {{{{ row.text }}}}"} for name in ("who", "what", "when", "where")}


def texts(count: int) -> list[dict[str, Any]]:
    return [{"text": f"row {number}"} for number in range(count)]


def test_thirty_rows_with_four_queries_are_120_calls_in_flight(serve: Any, ask: Any) -> None:
    server = serve(together=120)
    results = ask(server, texts(30), pool_size=120, queries=FOUR)
    assert (server.peak_in_flight, server.calls) == (120, 120)
    assert results[7].row["when"] == "when? row 7"
    assert results[7].row["where_tokens_in"] == 3


def test_no_more_calls_than_the_pool_has_places(serve: Any, ask: Any) -> None:
    server = serve(latency_s=0.005)
    results = ask(server, texts(100), pool_size=7)
    assert server.peak_in_flight == 7
    assert [result.row["llm_response"] for result in results.all()] == [f"Say row {n}" for n in range(100)]


def test_azure_by_the_names_of_the_contract(serve: Any, ask: Any) -> None:
    server = serve(together=30)
    config = AzureOpenAIConfig(
        deployment_name="my deployment", endpoint=server.url, api_key="azure-secret", pool_size=30,
        system_prompt="Be brief.", user_prompt_template="Say {{ text }}", output_key="answer",
    )  # fmt: skip
    transform = AzureLLMTransform(config=config)
    transform.node_id = "llm"
    results = ask.feed(transform, texts(30))
    transform.close()
    assert (server.peak_in_flight, transform.get_batch_metrics()["peak_in_flight"]) == (30, 30)
    assert results[3].row["answer"] == "Say row 3"
    (path,) = server.paths
    assert path == "/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
    assert server.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_rows_of_one_executor_are_in_flight_together(serve: Any, ask: Any) -> None:
    server = serve(together=16)
    db = LandscapeDB.in_memory()
    executor = TransformExecutor(LandscapeRecorder(db))
    transform = ask.transform(server, pool_size=16)

    def one(number: int) -> TransformResult:
        token = TokenInfo(f"row-{number}", f"token-{number}", {"text": f"row {number}"})
        ctx = PluginContext(token=token, run_id="run-1", node_id="ask")
        return executor.execute_transform(transform=transform, token=token, ctx=ctx, step_in_pipeline=1)[0]

    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(one, range(16)))
    assert [result.row["llm_response"] for result in results if result.row] == [
        f"Say row {number}" for number in range(16)
    ]
    transform.close()
    recorder = LandscapeRecorder(db)
    (state,) = recorder.get_node_states(token_id="token-5")
    (call,) = recorder.get_external_calls(state_id=state.state_id)
    assert (call.status, call.provider, call.tokens_in) == ("success", "openai", 3)
    db.close()


def test_there_is_one_way_in(server: Any, ask: Any) -> None:
    transform = ask.transform(server)
    with pytest.raises(NotImplementedError, match="accept"):
        transform.process({"text": "x"}, PluginContext())
    with pytest.raises(PluginError, match="no output"):
        transform.accept({"text": "x"}, PluginContext())


def test_close_wakes_who_waits(serve: Any, ask: Any) -> None:
    server = serve(together=99)
    transform = ask.transform(server, pool_size=2)
    transform.grace_s = 0.05
    adapter = SharedBatchAdapter()
    transform.connect_output(adapter, 8)
    waiters = []
    for number in range(5):
        token = TokenInfo(f"r{number}", f"t{number}")
        waiters.append(adapter.register(token.token_id))
        transform.accept({"text": "x"}, PluginContext(token=token))
    closing = threading.Thread(target=transform.close)
    closing.start()
    for waiter in waiters:
        with pytest.raises(PluginError, match="closed before"):
            waiter.wait(30)
    closing.join(30)
    with pytest.raises(PluginError, match="closed"):
        transform.accept({"text": "x"}, PluginContext(token=TokenInfo("r", "t")))


def test_a_worker_that_dies_wakes_its_waiter_with_the_error(
    server: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> None:
        raise ZeroDivisionError("a bug")

    transform = ask.transform(server)
    monkeypatch.setattr("elspeth.plugins.llm.client.read_completion", broken)
    results = ask.feed(transform, texts(3))
    assert [type(result) for result in results.all()] == [ZeroDivisionError] * 3


def test_a_loop_that_dies_wakes_everybody(serve: Any, ask: Any) -> None:
    transform = ask.transform(serve(together=99), pool_size=2)
    results_ready = []

    class Output:
        def emit(self, token: Any, result: Any) -> None:
            results_ready.append(result)

    def die() -> None:
        raise SystemExit("killed")

    transform.connect_output(Output(), 8)
    for number in range(4):
        transform.accept({"text": "x"}, PluginContext(token=TokenInfo(f"r{number}", f"t{number}")))
    transform._running.loop.call(die)
    transform.flush(30)
    assert [type(result) for result in results_ready] == [SystemExit] * 4


def test_metrics_say_what_was_used(server: Any, ask: Any) -> None:
    transform = ask.transform(server, prices={"test-model": {"input": 1000, "output": 2000}})
    ask.feed(transform, texts(4))
    found = transform.get_batch_metrics()
    assert (found["calls"], found["rows_succeeded"], found["in_flight"], found["breaker"]) == (
        4,
        4,
        0,
        "closed",
    )
    assert (found["tokens_in"], found["tokens_out"]) == (12, 12)
    assert found["cost"] == pytest.approx(0.036)
    assert found["latency_p50_ms"] > 0
    assert found["rows_waiting"] == 0


def test_a_token_is_asked_for_once_for_all_calls_and_again_when_it_is_refused(
    serve: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(latency_s=0.005)
    given: list[str] = []

    def provider(scope: str) -> Callable[[], str]:
        def token() -> str:
            given.append(scope)
            return f"token-number-{len(given)}"

        return token

    monkeypatch.setattr("elspeth.providers.azure_tokens.token_provider", provider)
    transform = AzureLLMTransform(
        {
            "endpoint": server.url,
            "deployment_name": "d",
            "prompt_template": "Say {{ row.text }}",
            "pool_size": 10,
        }
    )
    results = ask.feed(transform, texts(50))
    assert {result.status for result in results.all()} == {"success"}
    assert given == ["https://cognitiveservices.azure.com/.default"]
    server.behaviour = Behaviour(reply=(401, {"error": {"message": "expired"}}))
    for _ in range(2):
        results = ask.feed(transform, texts(1))
        assert results[0].reason["kind"] == "refused_key"
    assert len(given) == 2
    transform.close()
