"""External calls on record: what was asked, what came back, how long it took, what it cost."""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select

from elspeth.contracts.enums import CallStatus, CallType
from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical import canonical
from elspeth.core.clock import Clock
from elspeth.core.landscape import ids
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.payloads.store import inflate_body
from elspeth.core.landscape.records import CallRecord
from elspeth.core.landscape.stepwise.tokens import RecordError, find_token, transaction
from elspeth.core.landscape.tables import calls_table

_call = calls_table.c


@dataclass(frozen=True, slots=True)
class ExternalCall:
    """One call as it was made. ``request``, ``response`` and ``error`` are any values that have a
    canonical form; secrets that can be told are replaced as they are recorded. ``cost`` is in the
    currency of the provider's account.
    """

    call_type: CallType | str
    status: CallStatus | str
    request: Any
    response: Any = None
    error: Any = None
    latency_ms: float | None = None
    provider: str | None = None
    attempt: int = 1
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: Decimal | float | None = None
    operation: str | None = None


class CallRecording:
    """External calls, record by record."""

    db: LandscapeDB
    clock: Clock

    def record_call(self, state_id: str, call: ExternalCall, *, run_id: str | None = None) -> CallRecord:
        """Put a call down as the next one of its node state.

        The engine records calls before their state is on record (a call can't be undone, a state
        can): it gives the ``run_id``. Without one the state's token must be there. Raises
        RecordError for an unknown state, ValueError for an unknown ``call_type`` or ``status``.
        """
        kind, status = CallType(call.call_type), CallStatus(call.status)
        clean = self.db.redactor.tree
        request = _text(clean(call.request))
        response = None if call.response is None else _text(clean(call.response))
        with transaction(self.db) as connection:
            if run_id is None:
                key = ids.parse_state_id(state_id)
                token = None if key is None else find_token(connection, key.token_id)
                if token is None:
                    raise RecordError(f"there is no node state {state_id!r} on record")
                run_id = token.run_id
            last = connection.execute(
                select(func.max(_call.call_index)).where(_call.state_id == state_id)
            ).scalar()
            index = 0 if last is None else last + 1
            bodies = self.db.payloads.put_bodies(run_id, (request, response))
            connection.execute(
                insert(calls_table).values(
                    call_id=f"{state_id}-call-{index}",
                    run_id=run_id,
                    state_id=state_id,
                    call_index=index,
                    call_type=kind,
                    status=status,
                    attempt=call.attempt,
                    provider=call.provider,
                    operation=call.operation,
                    request_hash=_hash(request),
                    response_hash=None if response is None else _hash(response),
                    request=bodies[0],
                    response=bodies[1],
                    error=None if call.error is None else _text(clean(call.error)),
                    latency_ms=call.latency_ms,
                    tokens_in=call.tokens_in,
                    tokens_out=call.tokens_out,
                    cost=call.cost,
                    created_at=self.clock.now(),
                )
            )
        self.db.proof.note(run_id, "call", (f"{state_id}-call-{index}",))
        return self._read_calls(_call.state_id == state_id, _call.call_index == index)[0]

    def get_external_calls(self, state_id: str) -> list[CallRecord]:
        """Every external call made while in that state, in order; empty if there are none."""
        return self._read_calls(_call.state_id == state_id)

    def _read_calls(self, *where: ColumnElement[bool]) -> list[CallRecord]:
        columns = [_call[name] for name in CallRecord.__slots__]
        query = select(*columns).where(*where).order_by(_call.call_index)
        with transaction(self.db) as connection:
            rows = connection.execute(query).mappings().all()
            return [call_record(connection, row) for row in rows]


def call_record(connection: Connection, row: RowMapping) -> CallRecord:
    """A row of ``calls`` with its bodies as they were recorded, wherever they are kept.

    Raises LandscapeError if the payload store has one of them no longer, and no purge took it.
    """
    return CallRecord(
        **{
            **row,
            "request": inflate_body(connection, row["request"], row["request_hash"]),
            "response": inflate_body(connection, row["response"], row["response_hash"]),
            "cost": None if row["cost"] is None else float(row["cost"]),
        }
    )


def _text(value: Any) -> str:
    """Canonical JSON; a text stays as it is. What has no such form is kept as what it looks like."""
    if isinstance(value, str):
        return value
    try:
        return canonical(value).decode()
    except CanonicalError as error:
        return orjson.dumps({"value": ascii(value), "unreadable": error.what}).decode()


def _hash(stored: str) -> str:
    return sha256(stored.encode()).hexdigest()
