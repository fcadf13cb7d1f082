"""Answers that earlier runs got, taken in the place of calls: the record itself is the cache.

There is no second store that could be stale, leak, or survive a purge: a cached answer is read from the
call that got it, with its bodies where the landscape keeps them. Any number of processes may look
and write, because calls are only ever added.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import select

from elspeth.contracts.enums import CallStatus
from elspeth.contracts.errors import LandscapeError
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.payloads.store import inflate_body
from elspeth.core.landscape.tables import calls_table

_call = calls_table.c


@dataclass(frozen=True, slots=True)
class CachedCall:
    """A call of an earlier run, and what it was answered."""

    call_id: str
    response: str


@dataclass(frozen=True, slots=True)
class CallCache:
    """What runs other than ``run_id`` were answered, not longer ago than ``max_age``.

    Not for a landscape in memory: it has no earlier runs, and one connection for all threads.
    """

    db: LandscapeDB
    run_id: str
    clock: Clock
    max_age: timedelta | None = None

    def find(self, key: str, request_hash: str) -> CachedCall | None:
        """The newest answer under ``key`` to this very request; None if there is none, or it was purged."""
        query = (
            select(_call.call_id, _call.response, _call.response_hash)
            .where(
                _call.cache_key == key,
                _call.request_hash == request_hash,
                _call.run_id != self.run_id,
                _call.status == CallStatus.SUCCESS.value,
                _call.response.is_not(None),
            )
            .order_by(_call.created_at.desc(), _call.call_id.desc())
            .limit(1)
        )
        if self.max_age is not None:
            query = query.where(_call.created_at >= self.clock.now() - self.max_age)
        with self.db.reading() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            try:
                response = inflate_body(connection, row.response, row.response_hash)
            except LandscapeError:
                return None  # its payload is gone: the call is made again
        return CachedCall(row.call_id, response) if response is not None else None


def cache_key(service: str, request_hash: str) -> str:
    """Under what a call's answer is found: ``service`` says to whom the request was sent."""
    return sha256(f"{service}\n{request_hash}".encode()).hexdigest()
