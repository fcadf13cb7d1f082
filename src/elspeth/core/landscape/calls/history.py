"""All external calls of a time, whichever run made them: what the health of providers is told from."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select

from elspeth.contracts.enums import CallStatus
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.records import json_object
from elspeth.core.landscape.tables import calls_table

_call = calls_table.c
_CHUNK = 10_000
# Calls that were answered from the record, not made.
REPLAYED = " (replayed)"


@dataclass(frozen=True, slots=True)
class CallSample:
    """One call. ``http_status`` is None where no answer came, and of calls that succeeded."""

    provider: str
    call_type: str
    operation: str | None
    ok: bool
    at: datetime
    latency_ms: float | None
    http_status: int | None = None
    reason: str = ""


def calls_between(db: LandscapeDB, since: datetime, until: datetime) -> Iterator[CallSample]:
    """The calls of a time (both ends included), without their contents, as they are read.

    Replayed calls, and answers from a cache, are none. One without a provider counts as one of its type.
    Raises LandscapeError.
    """
    # Of those that failed the answer says whose fault that was; all others come from the index alone.
    failures = _failures(db, since, until)
    query = select(_call.provider, _call.call_type, _call.operation, _call.created_at, _call.latency_ms)
    good = query.where(_made(since, until), _call.status == CallStatus.SUCCESS)
    with db.reading() as connection:
        found = connection.execute(good.execution_options(yield_per=_CHUNK))
        for provider, kind, operation, at, latency in found:
            name = provider or kind
            if not name.endswith(REPLAYED):
                yield CallSample(name, kind, operation, True, at, latency)
    yield from failures


def _failures(db: LandscapeDB, since: datetime, until: datetime) -> list[CallSample]:
    query = select(
        _call.provider, _call.call_type, _call.operation, _call.created_at, _call.latency_ms, _call.error,
        _call.response,
    ).where(_made(since, until), _call.status == CallStatus.ERROR)  # fmt: skip
    found = []
    with db.reading() as connection:
        for provider, kind, operation, at, latency, error, response in connection.execute(query):
            name = provider or kind
            if name.endswith(REPLAYED):
                continue
            facts, answer = json_object(error), json_object(response)
            status = facts.get("status", answer.get("status"))
            reason = str(facts.get("kind") or facts.get("reason") or "")
            known = status if isinstance(status, int) and status > 0 else None
            found.append(CallSample(name, kind, operation, False, at, latency, known, reason))
    return found


def _made(since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(_call.created_at.between(since, until), _call.cached_from.is_(None))
