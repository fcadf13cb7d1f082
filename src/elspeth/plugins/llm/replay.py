"""Answers from the record of an earlier run: in the place of calls, or to compare them with."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from elspeth.contracts.enums import CallStatus
from elspeth.core.landscape.calls.journal import CallLookup, EarlierCalls
from elspeth.plugins.llm.calling import CallSource, Request
from elspeth.plugins.llm.completion import Answer
from elspeth.plugins.llm.errors import Failure, Kind
from elspeth.plugins.llm.metrics import CallMetrics
from elspeth.plugins.llm.recording import answer_of

_KEPT = 100  # drifts that are kept in words; all are counted


class _Recorded:
    """Finds the answer that a request got in the earlier run.

    The same request at the same place in the run gets the answer it got there. If rows have moved,
    it gets the next that was given to that request and that nobody has had yet, in the order of rows.
    """

    def __init__(self, calls: CallLookup) -> None:
        self._calls = calls
        self._by_place: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self._by_request: dict[str, deque[str]] = {}
        self._taken: set[str] = set()
        for step, found in sorted(calls.steps().items(), key=lambda item: _order(item[0])):
            place = step.removeprefix(calls.run_id)
            last: dict[str, str] = {}
            for key in found:
                self._by_place.setdefault((place, key.request_hash), []).append((key.call_index, key.call_id))
                if key.status == CallStatus.SUCCESS:
                    self._by_request.setdefault(key.request_hash, deque()).append(key.call_id)
                else:
                    last[key.request_hash] = key.call_id
            for hashed, call_id in last.items():
                if hashed not in self._by_request:
                    self._by_request[hashed] = deque([call_id])

    def find(self, request: Request) -> Answer | None:
        """The answer, or None if there is none (left)."""
        here = self._by_place.get((request.place, request.digest), [])
        mine = [call for call in here if call[0] % request.of == request.ordinal] or here
        call_id = mine[-1][1] if mine else self._next(request.digest)
        if call_id is None:
            return None
        self._taken.add(call_id)
        return answer_of(self._calls.read(call_id))

    def _next(self, digest: str) -> str | None:
        waiting = self._by_request.get(digest, deque())
        while waiting:
            call_id = waiting.popleft()
            if call_id not in self._taken:
                return call_id
        return None


class ReplaySource:
    """Every answer from the record; nothing goes out. What is not on record is a failure of that row."""

    live = False

    def __init__(self, earlier: EarlierCalls) -> None:
        self._recorded = _Recorded(earlier.calls)
        self._run_id = earlier.calls.run_id

    async def answer(self, request: Request) -> Answer:
        """What the request was answered then."""
        found = self._recorded.find(request)
        if found is None:
            message = f"run {self._run_id} has no answer to this request on record"
            return Answer(failure=Failure(Kind.NOT_RECORDED, message))
        return found

    async def close(self) -> None:
        """Nothing is open."""


class VerifySource:
    """Calls again and compares. A difference is counted and kept; with ``fail`` the row fails."""

    live = True

    def __init__(
        self, source: CallSource, earlier: EarlierCalls, metrics: CallMetrics, *, fail: bool
    ) -> None:
        self._source = source
        self._recorded = _Recorded(earlier.calls)
        self._metrics = metrics
        self._fail = fail
        from deepdiff import DeepDiff  # noqa: PLC0415  # seconds to load, and only this mode needs it

        self._compare = DeepDiff

    def _drift(self, before: Answer | None, now: Answer) -> Mapping[str, Any]:
        """What has changed in what was answered; ids, times and token counts don't count."""
        if before is None:
            return {"not_recorded": True}
        found: Mapping[str, Any] = self._compare(_compared(before), _compared(now), verbose_level=1).to_dict()
        return found

    async def answer(self, request: Request) -> Answer:
        """The new answer."""
        answer = await self._source.answer(request)
        if answer.failure is not None and answer.failure.retryable:
            return answer
        before = self._recorded.find(request)
        drift = self._drift(before, answer)
        if not drift:
            return answer
        self._metrics.drifted += 1
        if len(self._metrics.drift) < _KEPT:
            self._metrics.drift.append({"place": request.place.lstrip("-"), "changes": drift})
        if self._fail:
            return replace(answer, failure=Failure(Kind.DRIFT, f"the answer has changed: {drift}"[:500]))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._source.close()


def _compared(answer: Answer) -> dict[str, Any]:
    if answer.failure is not None:
        return {"failure": answer.failure.kind.value}
    return {"text": answer.text, "model": answer.model, "finish_reason": answer.finish_reason}


def _order(step: str) -> tuple[tuple[int, int, str], ...]:
    """Steps in the order of rows: numbers count as numbers."""
    parts = step.split("-")
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
