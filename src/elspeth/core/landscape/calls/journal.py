"""External calls put down as they complete, many per transaction: who paid for an answer keeps it.

A call can't be undone, so it must not wait for the commit of its row, and 500 calls a second can't
have a transaction each. A thread of its own takes what has come in and commits it in one go.

With ``sync_s`` most commits in an SQLite file don't wait for the disk: what they hold outlives this
process at once, and a loss of power at the latest ``sync_s`` later, or as soon as the engine commits
(its commits wait for the disk, and for all that was written to the log before). So no row's result is
ever durable without its calls.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from elspeth.contracts.enums import CallStatus, CallType, RunMode
from elspeth.contracts.errors import LandscapeError
from elspeth.core.clock import Clock
from elspeth.core.landscape.bulk import insert_rows
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.payloads.store import inflate_body
from elspeth.core.landscape.tables import calls_table

GAP_S = 0.004
"""The least time between the beginnings of two commits: 250 a second at most."""
LONGEST_GAP_S = 0.04
_GAP_SHARE = 1 / 32

_LATENCY = [column.name for column in calls_table.columns].index("latency_ms")
_BODY = calls_table.columns.keys().index("request")
_BODIES = slice(_BODY, _BODY + 2)  # where request and response are among the columns

Done = Callable[[BaseException | None], None]
_call = calls_table.c


@dataclass(frozen=True, slots=True)
class JournalCall:
    """One completed call. Texts are kept as they are and must hold no secrets.

    ``call_index`` must be free in its state. ``cost`` is in the currency of the provider's account.
    ``request_hash`` may be given by who knows it already. ``operation`` is what was asked of the provider.
    ``cache_key`` is for later runs to find the answer by, ``cached_from`` the call whose answer this is,
    if none was made: see `CallCache`.
    """

    run_id: str
    state_id: str
    call_index: int
    status: CallStatus
    request: str
    response: str | None = None
    error: str | None = None
    call_type: CallType = CallType.LLM
    provider: str | None = None
    attempt: int = 1
    latency_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: Decimal | None = None
    request_hash: str = ""
    operation: str | None = None
    cache_key: str | None = None
    cached_from: str | None = None


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A call that is on record: what was answered, or how it failed."""

    call_id: str
    state_id: str
    call_index: int
    status: str
    request_hash: str
    response_hash: str | None
    response: str | None
    error: str | None
    tokens_in: int | None
    tokens_out: int | None


class CallJournal:
    """Writes calls in groups, on a thread of its own, which starts with the first call.

    `put` never blocks on the database. What was put before an `after` is durable when its callback
    runs; if the database refuses, every callback gets the LandscapeError, and so does `close`.
    ``committed`` is called on the journal's thread with the number of calls of each group, also of one
    that the database refused.

    Between the beginnings of two commits are at least ``gap_s`` seconds, and more for slow calls: a
    32nd of what calls take, at most 40 ms. ``sync_s``: see above; 0 is for calls that nobody makes again.
    """

    def __init__(
        self,
        db: LandscapeDB,
        clock: Clock | None = None,
        *,
        committed: Callable[[int], None] | None = None,
        gap_s: float = GAP_S,
        sync_s: float = 0.0,
    ) -> None:
        self._db = db
        self._committed = committed
        self._clock = clock or Clock()
        self._gap_s = gap_s
        self._sync_s = sync_s if db.is_file else 0.0
        self._synced_at = 0.0
        self._held: Connection | None = None
        self._exact = db.engine.dialect.name == "postgresql"  # SQLite's driver knows no decimals
        self._wake = threading.Condition()
        self._rows: list[tuple[Any, ...]] = []
        self._after: list[Done] = []
        self._closing = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.commits = 0

    def put(self, call: JournalCall) -> None:
        """Put a call down with the next group. Safe to call from all threads."""
        now = self._clock.now()
        # Requests are found again by their text, so that nothing may be changed in them.
        response = None if call.response is None else self._db.redactor.text(call.response)
        error = None if call.error is None else self._db.redactor.text(call.error)
        cost = call.cost if call.cost is None or self._exact else float(call.cost)
        row = (
            f"{call.state_id}-call-{call.call_index}", call.run_id, call.state_id, call.call_index,
            call.call_type.value, call.status.value, call.attempt, call.provider, call.operation,
            call.request_hash or request_hash(call.request),
            None if response is None else request_hash(response), call.request, response, error,
            call.latency_ms, call.tokens_in, call.tokens_out, cost, now, call.cache_key, call.cached_from,
        )  # fmt: skip
        with self._wake:
            self._rows.append(row)
            self._start()

    def after(self, done: Done) -> None:
        """Call ``done(None)`` on the journal's thread once all that was put before is durable."""
        with self._wake:
            self._after.append(done)
            self._start()

    def flush(self) -> None:
        """Return when all that was put before is durable. Raises LandscapeError if it can't be."""
        ready = threading.Event()
        failed: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            failed.extend([error] if error else [])
            ready.set()

        self.after(done)
        ready.wait()
        if failed:
            raise failed[0]

    def close(self) -> None:
        """Write what is left and end the thread. Raises LandscapeError if that can't be written."""
        with self._wake:
            self._closing = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="elspeth-calls", daemon=True)
            self._thread.start()
        self._wake.notify()

    def _work(self) -> None:
        try:
            self._go_on()
        finally:
            if self._held is not None:
                self._held.close()

    def _go_on(self) -> None:
        due = 0.0
        while True:
            with self._wake:
                while not (self._rows or self._after or self._closing):
                    self._wake.wait()
                if self._closing and not (self._rows or self._after):
                    return
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            with self._wake:
                rows, self._rows = self._rows, []
                after, self._after = self._after, []
            due = began + self._gap(rows)
            if rows and self._error is None:
                self._write(rows)
            if rows and self._committed is not None:
                self._committed(len(rows))
            for done in after:
                done(self._error)

    def _gap(self, rows: list[tuple[Any, ...]]) -> float:
        """Who waits for a slow call can wait a little longer for its record."""
        if not rows or not self._sync_s:
            return self._gap_s
        mean_s = sum(row[_LATENCY] or 0.0 for row in rows) / len(rows) / 1000
        return min(max(self._gap_s, mean_s * _GAP_SHARE), LONGEST_GAP_S)

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        try:
            rows = self._stored(rows)
            with self._db.lock, self._transaction() as connection:
                insert_rows(connection, calls_table, rows)
            self.commits += 1
            for row in rows:
                self._db.proof.note(row[1], "call", (row[0],))
        except (DBAPIError, self._db.engine.dialect.loaded_dbapi.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            self._error = LandscapeError(
                f"external calls can't be put on record: {str(cause).strip()}",
                fix="see to the database (space, rights, connection), then go on with `elspeth resume`",
            )
            self._error.__cause__ = error
        except BaseException as error:  # noqa: BLE001  # whoever waits has to hear of it
            self._error = error

    def _stored(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The rows with large bodies in the payload store, durable before the rows that refer to them."""
        longest = self._db.payloads.threshold
        if not any(len(body or "") > longest for row in rows for body in row[_BODIES]):
            return list(rows)
        by_run: dict[str, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_run.setdefault(row[1], []).append(row)
        found = []
        for run_id, own in by_run.items():
            bodies = iter(
                self._db.payloads.put_bodies(run_id, [body for row in own for body in row[_BODIES]])
            )
            found += [
                (*row[: _BODIES.start], next(bodies), next(bodies), *row[_BODIES.stop :]) for row in own
            ]
        return found

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if not self._sync_s:
            with self._db.engine.begin() as connection:
                yield connection
            return
        if self._held is None:
            self._held = self._db.apart()
        now = time.monotonic()
        due = now - self._synced_at >= self._sync_s
        self._held.exec_driver_sql(f"PRAGMA synchronous={'FULL' if due else 'NORMAL'}")
        self._held.rollback()  # SQLAlchemy's, which the PRAGMA has begun: there is none in the database
        with self._held.begin():
            yield self._held
        if due:
            self._synced_at = now


class KnownKey(NamedTuple):
    """What is known of a call without reading it."""

    attempt: int
    call_index: int
    call_id: str
    state_id: str
    status: str
    request_hash: str


class CallLookup:
    """The calls that a run has on record, for a resume, a replay or a comparison.

    Keys are read at once (they are small), answers when they are asked for. Calls are found by their
    *step*: the state's id without its attempt, because a step that is tried again asks the same again.
    """

    def __init__(self, db: LandscapeDB, run_id: str) -> None:
        self._db = db
        self.run_id = run_id
        self._steps: dict[str, list[KnownKey]] = {}
        for call_id, state_id, index, status, hashed in self._keys():
            step, attempt = step_of(state_id)
            self._steps.setdefault(step, []).append(
                KnownKey(attempt, index, call_id, state_id, status, hashed)
            )
        for calls in self._steps.values():
            calls.sort()

    def __len__(self) -> int:
        """How many steps have calls."""
        return len(self._steps)

    def of_state(self, state_id: str) -> list[KnownKey]:
        """The calls of a state's step, in order of attempt and index."""
        return self._steps.get(step_of(state_id)[0], [])

    def steps(self) -> Mapping[str, list[KnownKey]]:
        """All of them."""
        return self._steps

    def read(self, call_id: str) -> KnownCall:
        """One call as it was put down. Raises KeyError for an unknown one, LandscapeError if its answer
        was purged or is damaged.
        """
        columns = [_call[name] for name in KnownCall.__slots__]
        with self._db.lock, self._db.engine.connect() as connection:
            row = connection.execute(select(*columns).where(_call.call_id == call_id)).mappings().first()
            if row is None:
                raise KeyError(call_id)
            if row["response"] is None and row["response_hash"] is not None:
                raise LandscapeError(f"what call {call_id} was answered is purged", fix="start a new run")
            response = inflate_body(connection, row["response"], row["response_hash"])
        return KnownCall(**{**row, "response": response})

    def purged(self) -> int:
        """How many calls have lost their answers to a purge."""
        gone = _call.response.is_(None) & _call.response_hash.is_not(None)
        query = select(func.count()).where(_call.run_id == self.run_id, gone)
        with self._db.lock, self._db.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def spent(self) -> tuple[Decimal, int]:
        """What the run's calls have cost so far, and the tokens that they used."""
        tokens = func.coalesce(_call.tokens_in, 0) + func.coalesce(_call.tokens_out, 0)
        query = select(func.coalesce(func.sum(_call.cost), 0), func.coalesce(func.sum(tokens), 0))
        with self._db.lock, self._db.engine.connect() as connection:
            row = connection.execute(query.where(_call.run_id == self.run_id)).one()
        return Decimal(str(row[0])), int(row[1])

    def _keys(self) -> Iterator[tuple[str, str, int, str, str]]:
        query = select(_call.call_id, _call.state_id, _call.call_index, _call.status, _call.request_hash)
        with self._db.lock, self._db.engine.connect() as connection:
            for row in connection.execute(query.where(_call.run_id == self.run_id)):
                yield row[0], row[1], row[2], row[3], row[4]


@dataclass(frozen=True, slots=True)
class EarlierCalls:
    """The run whose record answers calls (``replay``), or is compared with their answers (``verify``)."""

    mode: RunMode
    calls: CallLookup


def request_hash(text: str) -> str:
    """SHA-256 of a recorded text, in hex."""
    return sha256(text.encode()).hexdigest()


def step_of(state_id: str) -> tuple[str, int]:
    """A state's id without its attempt, and the attempt (0 where it has none)."""
    step, dot, attempt = state_id.rpartition(".")
    return (step, int(attempt)) if dot and attempt.isdigit() else (state_id, 0)
