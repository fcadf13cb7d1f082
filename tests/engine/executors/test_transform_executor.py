"""One attempt at a time: input, output or error on record, whatever the transform does."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from elspeth.contracts import PluginContext, Row, TerminalState, TokenInfo, TransformResult
from elspeth.contracts.errors import PluginError, UsageError
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.schema import nodes_table, transform_errors_table
from elspeth.engine.executors import TransformExecutor
from elspeth.engine.executors.transform import TransformExecutor as TheSame
from elspeth.engine.spans import SpanFactory

Work = Callable[[Row, PluginContext], Any]


class Plain:
    """A transform that does what it is told."""

    name = "plain"
    plugin_version = "2"

    def __init__(self, work: Work, on_error: str | None = None) -> None:
        self.process = work
        self.on_error = on_error


class Concurrent:
    """Answers from threads of its own, when as many rows are in as it waits for."""

    name = "llm"
    on_error = "failures"
    pool_size = 8

    def __init__(self, work: Work, together: int = 1) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(self.pool_size)
        self._together = threading.Barrier(together)
        self.connected: list[int] = []

    def connect_output(self, output: Any, max_pending: int) -> None:
        self._output = output
        self.connected.append(max_pending)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        raise NotImplementedError

    def accept(self, row: Row, ctx: PluginContext) -> None:
        self._pool.submit(self._answer, row, ctx)

    def _answer(self, row: Row, ctx: PluginContext) -> None:
        self._together.wait(60)
        try:
            self._output.emit(ctx.token, self._work(row, ctx))
        except RuntimeError as error:
            self._output.emit(ctx.token, error)

    def close(self) -> None:
        self._pool.shutdown()


def context(token: TokenInfo, **more: Any) -> PluginContext:
    return PluginContext(token=token, run_id="run-1", node_id="tidy", **more)


def run(db: LandscapeDB, transform: Any, token: TokenInfo, **more: Any) -> Any:
    executor = TransformExecutor(LandscapeRecorder(db), SpanFactory(enabled=False))
    return executor.execute_transform(
        transform=transform, token=token, ctx=context(token, **more), step_in_pipeline=3
    )


def double(row: Row, _ctx: PluginContext) -> TransformResult:
    return TransformResult.success({**row, "y": row["x"] * 2})


def test_it_is_found_under_both_names() -> None:
    assert TheSame is TransformExecutor
    with pytest.raises(UsageError, match="has no landscape"):
        TransformExecutor(SpanFactory())


def test_success_is_recorded_with_both_rows(landscape: LandscapeDB) -> None:
    token = TokenInfo("row-1", "token-1", {"x": 1}, "left")
    result, updated, error_sink = run(landscape, Plain(double, "failures"), token)
    assert (result.status, result.row, error_sink) == ("success", {"x": 1, "y": 2}, None)
    assert updated == TokenInfo("row-1", "token-1", {"x": 1, "y": 2}, "left")
    (state,) = LandscapeRecorder(landscape).get_node_states(token_id="token-1")
    assert (state.node_id, state.status, state.step_index, state.attempt) == ("tidy", "completed", 3, 1)
    assert (state.input_data, state.output_data) == ({"x": 1}, {"x": 1, "y": 2})
    assert state.duration_ms is not None
    assert state.duration_ms >= 0
    with landscape.engine.connect() as connection:
        node = connection.execute(select(nodes_table)).one()
    assert (node.run_id, node.node_id, node.node_type, node.plugin_name, node.plugin_version) == (
        "run-1", "tidy", "transform", "plain", "2")  # fmt: skip


def test_an_error_is_recorded_and_names_the_sink(landscape: LandscapeDB) -> None:
    token = TokenInfo("row-1", "token-1", {"x": 1})
    transform = Plain(lambda _row, _ctx: TransformResult.error({"error": "no", "field": "x"}), "failures")
    result, updated, error_sink = run(landscape, transform, token)
    assert (result.status, updated, error_sink) == ("error", token, "failures")
    recorder = LandscapeRecorder(landscape)
    (state,) = recorder.get_node_states(token_id="token-1")
    assert (state.status, state.input_data, state.output_data) == ("failed", {"x": 1}, None)
    with landscape.engine.connect() as connection:
        error = connection.execute(select(transform_errors_table)).one()
    assert (error.token_id, error.state_id, error.destination) == ("token-1", state.state_id, "failures")
    assert error.reason == '{"error":"no","field":"x"}'
    assert recorder.get_terminal_state("token-1") is None
    recorder.record_arrival("token-1", "failures")
    assert recorder.get_terminal_state("token-1") is TerminalState.FAILED


def test_without_on_error_there_is_no_sink() -> None:
    db = LandscapeDB.in_memory()
    transform = Plain(lambda _row, _ctx: TransformResult.error("no"))
    assert run(db, transform, TokenInfo("row-1", "token-1", {}))[2] is None
    db.close()


def test_what_a_transform_raises_is_recorded_and_raised_on(landscape: LandscapeDB) -> None:
    def broken(_row: Row, _ctx: PluginContext) -> TransformResult:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        run(landscape, Plain(broken), TokenInfo("row-1", "token-1", {"x": 0}))
    (state,) = LandscapeRecorder(landscape).get_node_states(token_id="token-1")
    assert (state.status, state.input_data) == ("failed", {"x": 0})
    with landscape.engine.connect() as connection:
        error = connection.execute(select(transform_errors_table)).one()
    assert error.reason == '{"error":"ZeroDivisionError: by zero"}'


def change(row: Row, _ctx: PluginContext) -> TransformResult:
    row["x"] = 2
    return TransformResult.success(row)


@pytest.mark.parametrize(
    ("work", "what"),
    [
        (change, "changed its input in place"),
        (lambda row, _ctx: row, "returned dict, not a TransformResult"),
        (lambda _row, _ctx: TransformResult("success", None), "returned success without a row"),
    ],
)
def test_a_broken_contract_is_an_error_with_the_true_input_on_record(work: Work, what: str) -> None:
    db = LandscapeDB.in_memory()
    with pytest.raises(PluginError, match=what):
        run(db, Plain(work), TokenInfo("row-1", "token-1", {"x": 1}))
    (state,) = LandscapeRecorder(db).get_node_states(token_id="token-1")
    assert (state.status, state.input_data) == ("failed", {"x": 1})
    db.close()


def test_an_output_that_can_not_be_recorded_is_an_error_of_that_row(landscape: LandscapeDB) -> None:
    transform = Plain(lambda row, _ctx: TransformResult.success({**row, "y": float("nan")}), "failures")
    result, _, error_sink = run(landscape, transform, TokenInfo("row-1", "token-1", {"x": 1}))
    assert (result.status, error_sink) == ("error", "failures")
    assert result.reason["field"] == "y"
    (state,) = LandscapeRecorder(landscape).get_node_states(token_id="token-1")
    assert state.status == "failed"


def test_attempts_are_told_apart(landscape: LandscapeDB) -> None:
    token = TokenInfo("row-1", "token-1", {"x": 1})
    run(landscape, Plain(lambda _row, _ctx: TransformResult.error("busy", retryable=True), "failures"), token)
    run(landscape, Plain(double, "failures"), token, attempt=2)
    run(landscape, Plain(double, "failures"), token, attempt=2)
    recorder = LandscapeRecorder(landscape)
    states = recorder.get_node_states(token_id="token-1")
    assert [(state.attempt, state.status) for state in states] == [
        (1, "failed"), (2, "completed"), (3, "completed")]  # fmt: skip
    assert len({state.state_id for state in states}) == 3
    recorder.record_arrival("token-1", "out")
    assert recorder.get_terminal_state("token-1") is TerminalState.COMPLETED


def test_a_row_that_was_changed_between_two_steps_is_recorded_as_it_was_given(landscape: LandscapeDB) -> None:
    run(landscape, Plain(double), TokenInfo("row-1", "token-1", {"x": 1}))
    run(landscape, Plain(double), TokenInfo("row-1", "token-1", {"x": 5.0}))
    states = LandscapeRecorder(landscape).get_node_states(token_id="token-1")
    assert [(state.input_data, state.output_data) for state in states] == [
        ({"x": 1}, {"x": 1, "y": 2}), ({"x": 5.0}, {"x": 5.0, "y": 10.0})]  # fmt: skip


def test_several_rows_leave_the_token_as_it_is() -> None:
    db = LandscapeDB.in_memory()
    transform = Plain(lambda _row, _ctx: TransformResult.expand([{"x": 1}, {"x": 2}]))
    token = TokenInfo("row-1", "token-1", {"x": 0})
    result, updated, _ = run(db, transform, token)
    assert (list(result.rows), updated) == ([{"x": 1}, {"x": 2}], token)
    children = LandscapeRecorder(db).expand_token("token-1", result.rows)
    assert [child.row_id for child in children] == ["row-1", "row-1"]
    db.close()


def test_calls_are_recorded_in_the_state_that_is_under_way(landscape: LandscapeDB) -> None:
    def ask(row: Row, ctx: PluginContext) -> TransformResult:
        call = ExternalCall("llm", "success", {"q": row["x"]}, {"a": 1}, tokens_in=3, tokens_out=4, cost=0.5)
        ctx.landscape.record_call(ctx.state_id, call)
        ctx.landscape.record_call(ctx.state_id, ExternalCall("http", "error", {"u": 1}, error="gone"))
        return TransformResult.success(row)

    run(landscape, Plain(ask), TokenInfo("row-1", "token-1", {"x": 1}))
    recorder = LandscapeRecorder(landscape)
    (state,) = recorder.get_node_states(token_id="token-1")
    calls = recorder.get_external_calls(state_id=state.state_id)
    assert [(call.call_index, call.call_type, call.status) for call in calls] == [
        (0, "llm", "success"), (1, "http", "error")]  # fmt: skip
    assert (calls[0].tokens_in, calls[0].tokens_out, calls[0].cost) == (3, 4, 0.5)
    assert (calls[0].request, calls[0].response, calls[1].error) == ('{"q":1}', '{"a":1}', "gone")


def test_rows_of_a_concurrent_transform_are_in_flight_together(landscape: LandscapeDB) -> None:
    transform = Concurrent(double, together=8)
    executor = TransformExecutor(LandscapeRecorder(landscape))

    def one(number: int) -> Any:
        token = TokenInfo(f"row-{number}", f"token-{number}", {"x": number})
        return executor.execute_transform(
            transform=transform, token=token, ctx=context(token), step_in_pipeline=1
        )

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(16)))
    transform.close()
    assert transform.connected == [8]
    assert [result.row for result, _, _ in found] == [{"x": n, "y": 2 * n} for n in range(16)]
    recorder = LandscapeRecorder(landscape)
    for number in range(16):
        (state,) = recorder.get_node_states(token_id=f"token-{number}")
        assert state.output_data == {"x": number, "y": 2 * number}


def test_a_worker_that_dies_fails_that_row() -> None:
    db = LandscapeDB.in_memory()

    def die(_row: Row, _ctx: PluginContext) -> TransformResult:
        raise RuntimeError("worker died")

    transform = Concurrent(die)
    with pytest.raises(RuntimeError, match="worker died"):
        run(db, transform, TokenInfo("row-1", "token-1", {"x": 1}))
    transform.close()
    (state,) = LandscapeRecorder(db).get_node_states(token_id="token-1")
    assert state.status == "failed"
    db.close()


def test_a_late_answer_does_not_reach_the_retry() -> None:
    db = LandscapeDB.in_memory()
    kept: list[Any] = []

    class Slow(Concurrent):
        def accept(self, row: Row, ctx: PluginContext) -> None:
            kept.append(ctx.token)
            if len(kept) == 2:
                self._output.emit(kept[0], TransformResult.success({"answer": "late"}))
                self._output.emit(kept[1], TransformResult.success({"answer": "fresh"}))

    transform, token = Slow(double), TokenInfo("row-1", "token-1", {"x": 1})
    impatient = TransformExecutor(LandscapeRecorder(db), timeout=0)
    with pytest.raises(TimeoutError, match="'token-1'"):
        impatient.execute_transform(transform, token, context(token), 1)
    result, _, _ = impatient.execute_transform(transform, token, context(token, attempt=2), 1)
    assert result.row == {"answer": "fresh"}
    states = LandscapeRecorder(db).get_node_states(token_id="token-1")
    assert [state.status for state in states] == ["failed", "completed"]
    transform.close()
    db.close()
