"""Whoever sent a row in gets that row's answer, and nobody else's."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from elspeth.contracts import TokenInfo, TransformResult
from elspeth.contracts.errors import PluginError
from elspeth.engine.batch_adapter import RowWaiter, SharedBatchAdapter


def token(token_id: str) -> TokenInfo:
    return TokenInfo("row", token_id, {"id": token_id})


def good(value: object) -> TransformResult:
    return TransformResult.success({"value": value})


def give_up(waiter: RowWaiter) -> None:
    with pytest.raises(TimeoutError):
        waiter.wait(timeout=0)


def test_each_waiter_gets_its_own_result_whatever_the_order() -> None:
    adapter = SharedBatchAdapter()
    names = [f"t{number}" for number in range(200)]
    waiters = {name: adapter.register(name) for name in names}
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(waiter.wait, 60) for waiter in list(waiters.values())[:16]]
        for name in reversed(names):
            adapter.emit(token(name), good(name))
        found = [answer.result(60).row for answer in answers]
    assert found == [{"value": name} for name in names[:16]]
    assert [waiters[name].wait(0).row for name in names] == [{"value": name} for name in names]
    assert len(adapter) == 0


def test_a_result_that_comes_before_wait_is_there_at_once() -> None:
    adapter = SharedBatchAdapter()
    waiter = adapter.register("t1")
    adapter.emit(token("t1"), good(1))
    assert waiter.wait(timeout=0) == good(1)
    assert waiter.wait(timeout=0) == good(1)


def test_an_id_is_as_good_as_a_token() -> None:
    adapter = SharedBatchAdapter()
    waiter = adapter.register("a")
    adapter.emit("a", good(1))
    assert waiter.wait(timeout=0) == good(1)


def test_a_timeout_names_the_token_and_ends_the_claim() -> None:
    adapter = SharedBatchAdapter()
    waiter = adapter.register("t1")
    with pytest.raises(TimeoutError, match="token 't1' had no result within 0 s"):
        waiter.wait(timeout=0)
    adapter.emit(token("t1"), good("late"))
    assert len(adapter) == 0
    give_up(waiter)


def test_a_second_result_is_dropped() -> None:
    adapter = SharedBatchAdapter()
    waiter = adapter.register("t1")
    adapter.emit(token("t1"), good(1))
    adapter.emit(token("t1"), good(2))
    assert waiter.wait(timeout=0) == good(1)
    adapter.emit(token("t1"), good(3))
    assert len(adapter) == 0


def test_a_result_for_an_unknown_token_wakes_nobody() -> None:
    adapter = SharedBatchAdapter()
    waiter = adapter.register("t1")
    adapter.emit(token("t2"), good(2))
    give_up(waiter)


def test_nothing_is_kept_for_those_who_went_away() -> None:
    adapter = SharedBatchAdapter()
    for number in range(1000):
        adapter.register(f"t{number}")
    gc.collect()
    assert len(adapter) == 0


def test_a_retry_does_not_get_what_came_late_before_it() -> None:
    adapter = SharedBatchAdapter()
    give_up(adapter.register("t1"))
    adapter.emit(token("t1"), good("late"))
    second = adapter.register("t1")
    adapter.emit(token("t1"), good("fresh"))
    assert second.wait(timeout=0) == good("fresh")


@pytest.mark.parametrize("late_first", [True, False])
def test_a_retry_gets_only_the_answer_to_its_own_attempt(late_first: bool) -> None:
    adapter = SharedBatchAdapter()
    first = adapter.register("t1")
    sent_first = first.token(token("t1"))
    give_up(first)
    del first
    second = adapter.register("t1")
    answers = [(sent_first, good("late")), (second.token(token("t1")), good("fresh"))]
    for sent, answer in answers if late_first else answers[::-1]:
        adapter.emit(sent, answer)
    assert second.wait(timeout=0) == good("fresh")


def test_a_retry_times_out_rather_than_take_the_earlier_answer() -> None:
    adapter = SharedBatchAdapter()
    first = adapter.register("t1")
    give_up(first)
    second = adapter.register("t1")
    adapter.emit(first.token(token("t1")), good("late"))
    give_up(second)


def test_where_answers_do_not_say_for_which_attempt_the_last_one_counts() -> None:
    adapter = SharedBatchAdapter()
    first = adapter.register("t1")
    give_up(first)
    second = adapter.register("t1")
    adapter.emit(token("t1"), good("late, perhaps"))
    adapter.emit(token("t1"), good("fresh"))
    assert second.wait(timeout=0) == good("fresh")


def test_an_answer_that_names_its_attempt_beats_one_that_does_not() -> None:
    adapter = SharedBatchAdapter()
    first = adapter.register("t1")
    give_up(first)
    second = adapter.register("t1")
    adapter.emit(token("t1"), good("late, perhaps"))
    adapter.emit(second.token(token("t1")), good("fresh"))
    adapter.emit(token("t1"), good("too late"))
    assert second.wait(timeout=0) == good("fresh")


def test_a_new_claim_ends_the_one_before() -> None:
    adapter = SharedBatchAdapter()
    first = adapter.register("t1")
    second = adapter.register("t1")
    with pytest.raises(PluginError, match="token 't1' was sent in again"):
        first.wait(timeout=0)
    adapter.emit(second.token(token("t1")), good(2))
    assert second.wait(timeout=0) == good(2)


def test_a_new_claim_leaves_an_answer_that_was_there() -> None:
    adapter = SharedBatchAdapter()
    first = adapter.register("t1")
    adapter.emit(token("t1"), good(1))
    second = adapter.register("t1")
    assert first.wait(timeout=0) == good(1)
    give_up(second)


def test_a_worker_that_dies_over_one_row_wakes_that_waiter() -> None:
    adapter = SharedBatchAdapter()
    hit, other = adapter.register("t1"), adapter.register("t2")
    adapter.emit(token("t1"), RuntimeError("boom"))
    with pytest.raises(RuntimeError, match="boom"):
        hit.wait(timeout=0)
    give_up(other)


def test_workers_that_die_wake_all_who_wait() -> None:
    adapter = SharedBatchAdapter()
    waiters = [adapter.register(f"t{number}") for number in range(8)]
    entered = threading.Barrier(9)

    def wait(waiter: RowWaiter) -> str:
        entered.wait(60)
        with pytest.raises(RuntimeError) as caught:
            waiter.wait(60)
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(wait, waiter) for waiter in waiters]
        entered.wait(60)
        adapter.fail(RuntimeError("the pool is gone"))
        assert {answer.result(60) for answer in found} == {"the pool is gone"}
    assert len(adapter) == 0
    again = adapter.register("t1")
    adapter.emit(token("t1"), good(1))
    assert again.wait(timeout=0) == good(1)


def test_clear_forgets_all_and_leaves_nobody_waiting() -> None:
    adapter = SharedBatchAdapter()
    waiting, answered = adapter.register("t1"), adapter.register("t2")
    adapter.emit(token("t2"), good(2))
    adapter.clear()
    with pytest.raises(PluginError, match="'t1' was still waited for"):
        waiting.wait(timeout=60)
    assert answered.wait(timeout=0) == good(2)
    adapter.emit(token("t1"), good(1))
    assert len(adapter) == 0
