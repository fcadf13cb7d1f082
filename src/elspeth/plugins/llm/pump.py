"""Keeps the pool full: takes rows, asks their questions, tries again, gives results. On the loop's thread."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from elspeth.contracts.errors import CanonicalError
from elspeth.contracts.results import TransformResult
from elspeth.core.landscape.calls.journal import KnownKey
from elspeth.fabric.governor import LONGEST_PAUSE_S, BudgetExceededError, ServiceGovernor
from elspeth.plugins.llm.caching import AnswerCache, unpaid
from elspeth.plugins.llm.calling import CallSource
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.errors import Failure, Feedback, Kind
from elspeth.plugins.llm.metrics import CallMetrics
from elspeth.plugins.llm.queries import Frame, Message, Query
from elspeth.plugins.llm.recording import CallRecord, answer_of
from elspeth.plugins.llm.spending import ZERO, Purse
from elspeth.plugins.llm.structured import InvalidOutputError
from elspeth.plugins.llm.telling import CallTelling
from elspeth.plugins.llm.templates import PromptError
from elspeth.plugins.llm.work import Ask, RowWork

_LOOK_S = 0.01
Emit = Callable[[RowWork, TransformResult | BaseException], None]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried, and the seconds between: doubling, with jitter, never over ``longest``.

    A call is made ``attempts`` times at most, and ``throttled`` times more if the service puts it off.
    """

    attempts: int
    throttled: int
    first_s: float
    longest_s: float
    circuit_s: float

    def delay(self, attempt: int, random: Random) -> float:
        """Seconds to wait behind a failed attempt."""
        whole = min(self.longest_s, self.first_s * 2.0 ** (attempt - 1))
        return whole * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of each row, and in which form; ``frames`` are the queries' requests without messages."""

    queries: tuple[Query, ...]
    frames: tuple[Frame, ...]
    instruct: bool
    repair_turns: int

    def asks(self, work: RowWork) -> list[Ask]:
        """The row's questions. Raises PromptError."""
        found = []
        for ordinal, (query, frame) in enumerate(zip(self.queries, self.frames, strict=True)):
            try:
                ask = Ask(work, query, ordinal, len(self.queries), frame, self._messages(query, work))
            except CanonicalError as error:
                raise PromptError(
                    {"error": f"the prompt is no valid text: {error.what}", "kind": Kind.INVALID_TEXT.value}
                ) from error
            found.append(ask)
        return found

    def _messages(self, query: Query, work: RowWork) -> list[Message]:
        turns = query.messages(work.shown)
        if query.form is not None and self.instruct:
            instruction = query.form.instruction()
            if turns[0]["role"] == "system":
                instruction = f"{turns.pop(0)['content']}\n\n{instruction}"
            turns.insert(0, {"role": "system", "content": instruction})
        return turns


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pump works with."""

    source: CallSource
    governor: ServiceGovernor
    purse: Purse
    record: CallRecord
    metrics: CallMetrics
    emit: Emit
    cache: AnswerCache | None = None
    told: CallTelling | None = None


class Pump:
    """Not thread-safe: everything here happens on the loop's thread."""

    def __init__(
        self, asking: Asking, around: Surroundings, pool_size: int, retries: Retries, provider: str
    ) -> None:
        self._asking = asking
        self._source = around.source
        self._governor = around.governor
        self._purse = around.purse
        self._record = around.record
        self._metrics = around.metrics
        self._emit = around.emit
        self._cache = around.cache
        self._told = around.told
        self._pool_size = pool_size
        self._retries = retries
        self._provider = provider
        self._random = Random()
        self._loop = asyncio.get_event_loop()
        self._rows: deque[RowWork] = deque()
        self._ready: deque[Ask] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._shut_since: float | None = None
        self._stopped: BaseException | None = None
        self._undurable = 0

    @property
    def _full(self) -> bool:
        """A call keeps its place until its answer is durable: a crash costs no more calls than that."""
        return len(self._tasks) + self._undurable >= self._pool_size

    def durable(self, count: int) -> None:
        """So many calls more are safe."""
        if self._source.live and self._record.holds:
            self._undurable -= count
            if self._timer is None:
                self._fill()

    def take(self, work: RowWork) -> None:
        """A row came in."""
        if self._stopped is not None:
            self._emit(work, self._stopped)
            return
        self._rows.append(work)
        if not self._full and self._timer is None:
            self._fill()

    async def stop(self, error: BaseException, grace_s: float) -> None:
        """Make no more calls; those under way have ``grace_s`` seconds to be answered and put on record."""
        self._halt(error)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)

    def _halt(self, error: BaseException) -> None:
        self._stopped = self._stopped or error
        waiting = {id(work): work for work in self._rows} | {id(ask.work): ask.work for ask in self._ready}
        self._rows.clear()
        self._ready.clear()
        for work in waiting.values():
            self._emit(work, self._stopped)

    def _fill(self) -> None:
        """Start as many calls as there is room for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while not self._full:
            if not self._ready and not self._prepare():
                return
            ask = self._ready.popleft()
            try:
                wait = self._admit(ask) if self._source.live else 0.0
            except BudgetExceededError as error:
                self._emit(ask.work, error)
                self._halt(error)
                return
            if wait == 0.0:
                self._launch(ask)
            elif not self._given_up(ask):
                self._ready.appendleft(ask)
                self._timer = self._loop.call_later(wait, self._fill)
                return

    def _prepare(self) -> bool:
        """Turn rows into questions until there is one; False when there is none, or no room for more."""
        while self._rows and not self._ready and not self._full:
            work = self._rows.popleft()
            try:
                asks = self._asking.asks(work)
            except PromptError as error:
                self._finish(work, TransformResult.error(error.reason))
                continue
            except Exception as error:  # noqa: BLE001  # a bug, which the engine has to hear of
                self._emit(work, error)
                continue
            work.open = len(asks)
            known = self._record.known(work)
            self._ready.extend(ask for ask in asks if not self._is_known(ask, known))
        return bool(self._ready)

    def _is_known(self, ask: Ask, known: list[KnownKey] | None) -> bool:
        """Whether a question was answered before, and has its answer now."""
        return (known is not None and self._reuse(ask, known)) or self._take_cached(ask)

    def _take_cached(self, ask: Ask) -> bool:
        """Take what an earlier run was answered: on record as a call that cost nothing, and whose it was."""
        if self._cache is None:
            return False
        ask.cache_key = None
        found = self._cache.find(ask)
        if found is None:
            ask.cache_key = self._cache.key(ask)
            return False
        ask.cached_from, answer = found
        self._metrics.calls_cached += 1
        self._put(ask, unpaid(answer), ZERO, f"{self._provider} (cached)")
        ask.cached_from = None
        self._settle(ask, answer)
        return True

    def _put(self, ask: Ask, answer: Answer, cost: Decimal | None, provider: str) -> None:
        if self._source.live and self._record.holds:
            self._undurable += 1
        self._record.put(ask, answer, cost, provider)

    def _reuse(self, ask: Ask, known: list[KnownKey]) -> bool:
        """Take what an interrupted run was answered already; else go on numbering behind it."""
        mine = [key for key in known if key.call_index % ask.of == ask.ordinal]
        here = [key.call_index for key in mine if key.state_id == ask.work.state_id]
        ask.round = max(ask.round, here[-1] // ask.of + 1 if here else 0)
        for key in reversed(mine):
            if key.request_hash != ask.request.digest:
                continue
            answer = answer_of(self._record.read(key.call_id))
            if answer.failure is None or not answer.failure.retryable:
                self._metrics.calls_reused += 1
                self._settle(ask, answer, known)
                return True
        return False

    def _admit(self, ask: Ask) -> float:
        if not self._purse.reserve(ask):
            return _LOOK_S
        wait = self._governor.admit(self._loop.time(), ask.tokens_expected())
        if wait > 0.0:
            self._purse.release(ask)
        return wait

    def _given_up(self, ask: Ask) -> bool:
        """A service that does not answer at all is not waited for without end."""
        now = self._loop.time()
        if not self._governor.is_shut():
            self._shut_since = None
            return False
        if self._shut_since is None:
            self._shut_since = now
        if now - self._shut_since < self._retries.circuit_s:
            return False
        message = f"the service has not answered for {now - self._shut_since:.0f} s"
        self._fail(ask, ask.reason(Failure(Kind.CIRCUIT_OPEN, message)))
        return True

    def _launch(self, ask: Ask) -> None:
        self._metrics.began()
        task = self._loop.create_task(self._call(ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, ask: Ask) -> None:
        """One attempt, from the request to what follows from the answer."""
        task = asyncio.current_task()
        assert task is not None
        began = time.time_ns() if self._told is not None else 0
        try:
            answer = await self._source.answer(ask.request)
            cost = self._pay(ask, answer) if self._source.live else None
            self._metrics.ended(answer, cost)
            if self._told is not None:
                self._told(ask, answer, cost, (began, time.time_ns()))
            self._put(ask, answer, cost, self._provider)
            self._settle(ask, answer)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # a worker that dies wakes those who wait for it
            self._emit(ask.work, error)
        finally:
            self._tasks.discard(task)
        self._fill()

    def _pay(self, ask: Ask, answer: Answer) -> Decimal | None:
        cost = self._purse.cost_of(answer)
        self._tell_governor(ask, answer)
        self._purse.settle(ask, answer, cost)
        return cost

    def _tell_governor(self, ask: Ask, answer: Answer) -> None:
        failure, now = answer.failure, self._loop.time()
        feedback = Feedback.ANSWERED if failure is None else failure.feedback
        if feedback is Feedback.THROTTLED:
            self._metrics.throttled += 1
            self._governor.throttled(now, failure.retry_after if failure else None)
        elif feedback is Feedback.BROKEN:
            self._governor.failed(now)
        elif feedback is Feedback.NONE:
            self._governor.abandoned()
        else:
            used = (answer.tokens_in or 0) + (answer.tokens_out or 0)
            self._governor.answered(ask.tokens_expected(), used or ask.tokens_expected())

    def _settle(self, ask: Ask, answer: Answer, known: list[KnownKey] | None = None) -> None:
        """Decide what follows from an answer: done, once more, corrected, or failed."""
        if answer.failure is None:
            self._accept(ask, answer, known)
        elif answer.failure.retryable and self._source.live and self._may_retry(ask, answer.failure):
            self._retry(ask, answer.failure)
        else:
            self._fail(ask, ask.reason(answer.failure))

    def _accept(self, ask: Ask, answer: Answer, known: list[KnownKey] | None) -> None:
        form = ask.query.form
        value: Any = answer.text
        if form is not None:
            try:
                value = form.read(answer.text)
            except InvalidOutputError as error:
                if ask.turn < self._asking.repair_turns:
                    self._metrics.repairs += 1
                    ask.repair(answer.text, str(error))
                    if not self._is_known(ask, known):
                        self._ready.appendleft(ask)
                    return
                cut = " (it was cut off: raise max_tokens)" if answer.finish_reason == "length" else ""
                failure = Failure(Kind.INVALID_OUTPUT, f"the answer has not the form asked for: {error}{cut}")
                self._fail(ask, {**ask.reason(failure), "answer": answer.text[:1000]})
                return
        ask.work.answers[ask.query.name] = (answer, value)
        self._close(ask.work)

    def _may_retry(self, ask: Ask, failure: Failure) -> bool:
        if self._stopped is not None:
            return False
        if failure.feedback is Feedback.THROTTLED:
            return ask.throttles < self._retries.throttled
        return ask.attempt < self._retries.attempts

    def _retry(self, ask: Ask, failure: Failure) -> None:
        self._metrics.retries += 1
        if failure.feedback is Feedback.THROTTLED:
            ask.throttles += 1
            delay = self._retries.delay(min(ask.throttles, 6), self._random)
        else:
            delay = self._retries.delay(ask.attempt, self._random)
            ask.attempt += 1
        asked = min(failure.retry_after or 0.0, LONGEST_PAUSE_S)
        self._loop.call_later(max(delay, asked), self._again, ask)

    def _again(self, ask: Ask) -> None:
        if self._stopped is not None:
            self._emit(ask.work, self._stopped)
            return
        self._ready.appendleft(ask)
        if not self._full and self._timer is None:
            self._fill()

    def _fail(self, ask: Ask, reason: dict[str, Any]) -> None:
        ask.work.failures[ask.query.name] = reason
        self._close(ask.work)

    def _close(self, work: RowWork) -> None:
        work.open -= 1
        if work.open == 0:
            self._finish(work, work.result(self._asking.queries))

    def _finish(self, work: RowWork, result: TransformResult) -> None:
        """Give the result away once all calls that it stands on are durable."""
        self._record.after(lambda error: self._emit(work, result if error is None else error))
