"""Opening the coordinator's database: one transaction at a time on SQLite, many on PostgreSQL."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Float,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.sql import ColumnElement

from elspeth.contracts.errors import ElspethError, UsageError
from elspeth.fabric.coordinator.tables import metadata

CHANNEL = "elspeth_tasks"
_LOCK = 7203118845521  # Of all programs that make these tables in a PostgreSQL database, one at a time.


class TaskDatabase:
    """An engine whose transactions take the write lock at once on SQLite (BEGIN IMMEDIATE)."""

    def __init__(self, url: str, clock: Callable[[], float] | None) -> None:
        self.engine = _engine(url, pool_pre_ping=True)
        self.postgres = self.engine.dialect.name == "postgresql"
        self._clock = clock or (None if self.postgres else time.time)
        # For statements that are transactions by themselves: no BEGIN, no COMMIT.
        self._alone = _engine(url, isolation_level="AUTOCOMMIT") if self.postgres else None
        self.now_sql = (
            "%(now)s" if clock is not None else "CAST(extract(epoch FROM clock_timestamp()) AS float)"
        )
        # Threads of this process queue up here: SQLite's own waiting is neither fair nor quick.
        self._turn: AbstractContextManager[Any] = nullcontext() if self.postgres else threading.RLock()
        with self.writing() as connection:
            if self.postgres:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            metadata.create_all(connection)

    def now(self) -> ColumnElement[float]:
        """The time for use in SQL, in seconds since 1970.

        On PostgreSQL it is the server's own, so that hosts whose clocks differ agree on leases.
        """
        if self._clock is None:
            return cast(extract("epoch", func.clock_timestamp()), Float)
        return literal(self._clock())

    def alone(
        self, statement: str, values: Mapping[str, Any], *, again: bool = False
    ) -> Sequence[tuple[Any, ...]]:
        """The rows of one statement that is a transaction by itself (PostgreSQL). Raises ElspethError.

        ``again``: once more if the connection turns out to have ended, for statements that may be carried out
        twice. On the driver itself, prepared: SQLAlchemy's part would be four times the driver's.
        """
        assert self._alone is not None
        if self._clock is not None:
            values = {**values, "now": self._clock()}
        with self._refusing():
            try:
                return self._rows(self._alone, statement, values)
            except self.engine.dialect.loaded_dbapi.OperationalError:
                if not again:
                    raise
                return self._rows(self._alone, statement, values)

    def _rows(self, engine: Engine, statement: str, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        connection = engine.raw_connection()
        driver: Any = connection.driver_connection
        try:
            return driver.execute(statement, values, prepare=True).fetchall()  # type: ignore[no-any-return]
        finally:
            if driver.closed:
                # The server went away; the other connections of the pool are no better.
                connection.invalidate()
                engine.dispose()
            connection.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction. Raises ElspethError when the database refuses; then nothing of it is there."""
        with self._refusing(), self._turn, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, self.engine.dialect.loaded_dbapi.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise ElspethError(
                f"the tasks' database refuses: {cause}", fix="see to the database, and try again"
            ) from error

    def notify(self, connection: Connection, queue: str) -> None:
        """Wake those who wait for work, once this transaction is committed."""
        if self.postgres:
            connection.execute(
                text("SELECT pg_notify(:channel, :queue)"), {"channel": CHANNEL, "queue": queue}
            )

    @contextmanager
    def listening(self) -> Iterator[Callable[[float], None]]:
        """A function that waits for news, so many seconds at most. News since the beginning is not lost."""
        if not self.postgres:
            yield lambda seconds: time.sleep(min(seconds, 0.05))
            return
        raw: Any = self.engine.raw_connection()
        driver = raw.driver_connection
        raw.detach()
        try:
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            yield lambda seconds: _news(driver, seconds)
        finally:
            driver.close()

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()
        if self._alone is not None:
            self._alone.dispose()


def _news(driver: Any, seconds: float) -> None:
    for _ in driver.notifies(timeout=seconds, stop_after=1):
        return


def _engine(url: str, **options: Any) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without the text, which may hold a password.
        raise UsageError("that is no database URL", fix="write sqlite:///path or postgresql://…") from None
    if parsed.get_backend_name() == "postgresql":
        plain = parsed.set(drivername="postgresql+psycopg")
        return create_engine(plain, pool_size=20, max_overflow=20, **options)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise UsageError(
            "tasks are kept in SQLite files and PostgreSQL only", fix="write sqlite:///path or postgresql://…"
        )
    engine = create_engine(parsed, connect_args={"timeout": 60.0, "isolation_level": None}, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def to_text(value: Any) -> str:
    """JSON for storage. Raises UsageError for what is not JSON."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a task's payload and result must be JSON: {error}") from error
