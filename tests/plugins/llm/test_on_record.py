"""Calls are paid once: journaled as they complete, used again by a resume or a replay; within budgets."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from elspeth.contracts.enums import RunMode
from elspeth.core.landscape.calls.journal import CallLookup, EarlierCalls
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.fabric.governor import Budget, BudgetExceededError, Governor
from elspeth.testing.llm import FAULTS, LoopbackLLM, echo

RUN = "20261121T021530Z-abcdef"
AGAIN = "20261121T040000Z-uvwxyz"
PRICES = {"test-model": {"input": 1_000_000, "output": 1_000_000}}


def texts(count: int) -> list[dict[str, Any]]:
    return [{"text": f"row {number}"} for number in range(count)]


def calls(db: LandscapeDB, columns: str = "*", run_id: str = RUN) -> list[Any]:
    query = text(f"SELECT {columns} FROM calls WHERE run_id = :run ORDER BY state_id, call_index")
    with db.engine.connect() as connection:
        return list(connection.execute(query, {"run": run_id}))


def test_every_call_is_on_record_and_no_secret_is(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder, tmp_path: Path
) -> None:
    # This server says the key back, in an answer and in an error.
    server = serve(answer=lambda _body: "your key is sk-very-secret-key")
    transform = ask.transform(server, prices=PRICES)
    results = ask.feed(transform, texts(2), recorder)
    assert results[0].row["llm_response"] == "your key is [redacted]"
    server.behaviour = type(server.behaviour)(reply=(401, {"error": {"message": "no: sk-very-secret-key"}}))
    failed = ask.feed(ask.transform(server), [{"text": "x"}], recorder, run_id=AGAIN)
    assert failed[0].reason["error"] == "HTTP 401: no: [redacted]"
    transform.close()
    (call, _) = recorder.get_external_calls(f"{RUN}-0-0-1.1") + recorder.get_external_calls(f"{RUN}-1-0-1.1")
    assert call.request == '{"messages":[{"content":"Say row 0","role":"user"}],"model":"test-model"}'
    assert '"request_id":"loopback"' in (call.response or "")
    assert (call.tokens_in, call.tokens_out, call.cost) == (3, 4, 7.0)
    assert call.latency_ms is not None
    db.close()
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_thirty_percent_mixed_faults_lose_nothing(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    server = serve(error_rate=0.3, faults=FAULTS, seed=11, retry_after="0.01")
    transform = ask.transform(server, pool_size=60, max_attempts=4)
    results = ask.feed(transform, texts(1000), recorder)
    transform.close()
    assert len(results.by_token) == 1000
    good = [result for result in results.all() if result.status == "success"]
    assert all(result.reason["kind"] for result in results.all() if result.status == "error")
    assert all(result.row["llm_response"] == f"Say {result.row['text']}" for result in good)
    recorded = calls(db, "status, state_id")
    succeeded = [state for status, state in recorded if status == "success"]
    # Exact accounting against the server's own count.
    assert len(recorded) == server.calls
    assert len(succeeded) == len(set(succeeded)) == server.answered == len(good)
    assert len(recorded) - len(succeeded) == sum(server.faults.values())


def test_a_resume_makes_no_call_again_that_was_answered(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    server = serve()
    first = ask.transform(server)
    ask.feed(first, texts(25), recorder)
    first.close()
    second = ask.transform(server)
    results = ask.feed(second, texts(40), recorder)
    second.close()
    assert server.calls == 40
    assert second.get_batch_metrics()["calls_reused"] == 25
    assert [result.row["llm_response"] for result in results.all()] == [f"Say row {n}" for n in range(40)]
    assert len(calls(db)) == 40


def test_a_resume_goes_on_behind_failed_attempts_and_keeps_final_refusals(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    broken = serve(reply=(500, {}))
    first = ask.transform(broken, max_attempts=2)
    ask.feed(first, texts(1), recorder)
    first.close()
    working = serve()
    second = ask.transform(working)
    assert ask.feed(second, texts(1), recorder)[0].status == "success"
    second.close()
    assert [row.call_index for row in calls(db, "call_index")] == [0, 1, 2]
    refusing = serve(reply=(400, {"error": {"code": "content_filter", "message": "no"}}))
    for _ in range(2):
        transform = ask.transform(refusing)
        assert ask.feed(transform, texts(1), recorder, run_id=AGAIN)[0].reason["kind"] == "content_filter"
        transform.close()
    assert refusing.calls == 1


def test_repeated_requests_get_their_own_answers_in_a_replay(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    counted = iter(range(10_000))
    server = serve(answer=lambda _body: f"answer {next(counted)}", error_rate=0.2, seed=5, retry_after="0.01")
    same = [{"text": "the same"}] * 30
    queries = {"one": {"template": "{{ row.text }}"}, "two": {"template": "{{ row.text }}"}}
    live = ask.transform(server, queries=queries, max_attempts=30)
    before = ask.feed(live, same, recorder)
    live.close()
    server.stop()
    replay = ask.transform(server, queries=queries)
    replay.earlier = EarlierCalls(RunMode.REPLAY, CallLookup(db, RUN))
    after = ask.feed(replay, same, recorder, run_id=AGAIN)
    replay.close()
    assert [result.row for result in after.all()] == [result.row for result in before.all()]
    assert len({result.row["two"] for result in after.all()}) == 30
    recorded = calls(db, "status, provider, cost", AGAIN)
    assert set(recorded) == {("success", "openai (replayed)", None)}


def test_rows_that_moved_get_what_was_said_to_their_request(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    server = serve()
    # Nothing is paid in a replay, so that what was spent does not count either.
    paid = {"prices": PRICES, "max_tokens": 4, "budget": {"max_cost": 50}}
    live = ask.transform(server, **paid)
    ask.feed(live, texts(5), recorder)
    live.close()
    replay = ask.transform(server, **paid)
    replay.earlier = EarlierCalls(RunMode.REPLAY, CallLookup(db, RUN))
    results = ask.feed(
        replay, [{"text": "row 3"}, {"text": "new"}, {"text": "row 0"}], recorder, run_id=AGAIN
    )
    assert (results[0].row["llm_response"], results[2].row["llm_response"]) == ("Say row 3", "Say row 0")
    assert results[1].reason["kind"] == "not_recorded"
    assert results[1].reason["error"] == f"run {RUN} has no answer to this request on record"
    assert server.calls == 5


@pytest.mark.parametrize("fail", [False, True])
def test_verify_calls_again_and_tells_what_changed(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder, fail: bool
) -> None:
    server = serve()
    live = ask.transform(server)
    ask.feed(live, texts(4), recorder)
    live.close()
    changed: LoopbackLLM = serve(answer=lambda body: "new" if "row 2" in str(body) else echo(body))
    verify = ask.transform(changed, fail_on_drift=fail)
    verify.earlier = EarlierCalls(RunMode.VERIFY, CallLookup(db, RUN))
    results = ask.feed(verify, texts(4), recorder, run_id=AGAIN)
    metrics = verify.get_batch_metrics()
    assert (changed.calls, metrics["drifted"]) == (4, 1)
    (drift,) = metrics["drift"]
    assert drift["place"] == "2-0-1"
    assert drift["changes"]["values_changed"]["root['text']"] == {
        "new_value": "new",
        "old_value": "Say row 2",
    }
    assert results[2].status == ("error" if fail else "success")
    if fail:
        assert results[2].reason["kind"] == "drift"


def test_a_budget_is_never_overspent_and_stops_the_run(
    serve: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    server = serve()
    # 3 tokens in and 3 out, at 1 each: a call costs 6. At most it may cost 9 + 8 + 4.
    transform = ask.transform(server, prices=PRICES, budget={"max_cost": 100}, max_tokens=4, pool_size=3)
    results = ask.feed(transform, texts(50), recorder)
    transform.close()
    spent = calls(db, "SUM(cost)")[0][0]
    assert 100 - 21 <= spent <= 100
    stopped = [result for result in results.all() if isinstance(result, BudgetExceededError)]
    assert len(stopped) == 50 - server.calls > 0
    assert (stopped[0].run_id, stopped[0].name) == (RUN, "ask")
    # What was spent is remembered by a resume.
    again = ask.transform(server, prices=PRICES, budget={"max_cost": 100}, max_tokens=4)
    ask.feed(again, texts(50), recorder)
    again.close()
    assert calls(db, "SUM(cost)")[0][0] <= 100


def test_nodes_of_one_run_share_its_budget_and_its_limits(serve: Any, ask: Any) -> None:
    server = serve()
    governor = Governor(budget=Budget("run", max_tokens=200))
    one, two = ask.transform(server, max_tokens=4), ask.transform(server, max_tokens=4)
    one.governor = two.governor = governor
    everything = ask.feed(one, texts(20)).all() + ask.feed(two, texts(20)).all()
    assert sum(isinstance(result, BudgetExceededError) for result in everything) == 40 - server.calls > 0
    assert governor.budget is not None
    assert governor.budget.tokens == 6 * server.calls <= 200
    assert governor.budget.spent == Decimal(0)
