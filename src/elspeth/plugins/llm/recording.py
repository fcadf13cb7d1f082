"""What goes on record of calls, and what is on record already."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import orjson

from elspeth.contracts.enums import CallStatus, CallType
from elspeth.core.landscape.calls.journal import CallJournal, CallLookup, JournalCall, KnownCall, KnownKey
from elspeth.core.landscape.calls.log import CallRecording, ExternalCall
from elspeth.plugins.llm.completion import Answer, answer_from
from elspeth.plugins.llm.errors import Failure
from elspeth.plugins.llm.work import Ask, RowWork

Done = Callable[[BaseException | None], None]
_SYNC_S = 0.05


class CallRecord(Protocol):
    """Where completed calls are put down."""

    @property
    def holds(self) -> bool:
        """Whether it takes a while until what was put is durable."""

    def put(self, ask: Ask, answer: Answer, cost: Decimal | None, provider: str) -> None: ...

    def after(self, done: Done) -> None: ...

    def known(self, work: RowWork) -> list[KnownKey]: ...

    def read(self, call_id: str) -> KnownCall: ...

    def spent(self) -> tuple[Decimal, int]: ...

    def close(self) -> None: ...


def record_for(landscape: Any, run_id: str, committed: Callable[[int], None]) -> CallRecord:
    """The journal of a landscape; for any other object with ``record_call`` that; else nothing is kept.

    ``committed`` is told, on another thread, how many more of the calls that were put are durable.
    """
    if isinstance(landscape, CallRecording):
        return JournalRecord(landscape, run_id, committed)
    return DirectRecord(getattr(landscape, "record_call", None))


class JournalRecord:
    """Calls in the landscape, in groups. A row's result waits until its calls are durable."""

    holds = True

    def __init__(self, landscape: CallRecording, run_id: str, committed: Callable[[int], None]) -> None:
        self._journal = CallJournal(landscape.db, landscape.clock, committed=committed, sync_s=_SYNC_S)
        self._lookup = CallLookup(landscape.db, run_id) if run_id else None

    def put(self, ask: Ask, answer: Answer, cost: Decimal | None, provider: str) -> None:
        failure = answer.failure
        self._journal.put(
            JournalCall(
                run_id=ask.work.run_id,
                state_id=ask.work.state_id,
                call_index=ask.next_index(),
                status=CallStatus.SUCCESS if failure is None else CallStatus.ERROR,
                request=ask.request.text,
                response=answer.recorded,
                error=None if failure is None else orjson.dumps(failure.facts()).decode(),
                provider=provider,
                operation="chat",
                attempt=ask.attempt + ask.throttles,
                latency_ms=None if ask.cached_from else round(answer.latency_ms, 3),
                tokens_in=answer.tokens_in,
                tokens_out=answer.tokens_out,
                cost=cost,
                request_hash=ask.request.digest,
                cache_key=ask.cache_key if failure is None else None,
                cached_from=ask.cached_from,
            )
        )

    def after(self, done: Done) -> None:
        self._journal.after(done)

    def known(self, work: RowWork) -> list[KnownKey]:
        """The calls of a row's step that an interrupted run, or an earlier attempt, left."""
        return self._lookup.of_state(work.state_id) if self._lookup is not None else []

    def read(self, call_id: str) -> KnownCall:
        assert self._lookup is not None
        return self._lookup.read(call_id)

    def spent(self) -> tuple[Decimal, int]:
        """Money and tokens that the run had used before it was resumed."""
        return self._lookup.spent() if self._lookup is not None else (Decimal(0), 0)

    def close(self) -> None:
        self._journal.close()


class DirectRecord:
    """Calls given one by one to something that takes them, or to nothing."""

    holds = False

    def __init__(self, take: Callable[..., Any] | None) -> None:
        self._take = take

    def put(self, ask: Ask, answer: Answer, cost: Decimal | None, provider: str) -> None:
        if self._take is None:
            return
        failure = answer.failure
        status = CallStatus.SUCCESS if failure is None else CallStatus.ERROR
        self._take(
            ask.work.state_id,
            ExternalCall(
                CallType.LLM, status, ask.request.text, answer.recorded,
                None if failure is None else failure.facts(), answer.latency_ms, provider,
                ask.attempt + ask.throttles, answer.tokens_in, answer.tokens_out, cost, "chat",
            ),
        )  # fmt: skip
        ask.next_index()

    def after(self, done: Done) -> None:
        done(None)

    def known(self, work: RowWork) -> list[KnownKey]:
        return []

    def read(self, call_id: str) -> KnownCall:
        raise KeyError(call_id)

    def spent(self) -> tuple[Decimal, int]:
        return Decimal(0), 0

    def close(self) -> None:
        """Nothing is open."""


def answer_of(call: KnownCall) -> Answer:
    """The answer that a recorded call got, read by the same code as a live one."""
    if call.error is not None:
        return Answer(failure=Failure.from_facts(orjson.loads(call.error)), recorded=call.response)
    return read_answer(call.response or "{}")


def read_answer(recorded: str) -> Answer:
    """The answer in a recorded response."""
    held = orjson.loads(recorded)
    return answer_from(held.get("body"), recorded, held.get("request_id"), status=held.get("status", 200))
