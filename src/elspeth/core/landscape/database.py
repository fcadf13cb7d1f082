"""Opening a landscape: SQLite or PostgreSQL, new or existing, and nothing else."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from elspeth.contracts.errors import LandscapeError, LandscapeVersionError, NotFoundError, UsageError
from elspeth.core.landscape.ledger.sealing import Proof
from elspeth.core.landscape.payloads.store import OPTION as PAYLOADS
from elspeth.core.landscape.payloads.store import PayloadStore
from elspeth.core.landscape.schema import SCHEMA_VERSION, metadata
from elspeth.core.landscape.views import view_statements
from elspeth.core.secrets import Redactor

_ONE_AT_A_TIME = {
    # SQLite's driver begins no transaction for CREATE by itself.
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SELECT pg_advisory_xact_lock(4985216739031)",
}


class LandscapeDB:
    """A database that holds a landscape of this version. Make it with `from_url` or `in_memory`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # Threads that write single records take turns: in memory they share one connection, and
        # so one transaction, which the first of them to be done would end for all.
        self.lock = RLock()
        self.proof = Proof()
        self.redactor = Redactor(None)  # what it knows is kept out of errors and calls on record
        self.payloads = PayloadStore.beside(engine.url)
        engine.update_execution_options(**{PAYLOADS: self.payloads})

    @classmethod
    def in_memory(cls) -> "LandscapeDB":
        """A complete landscape in this process's memory, gone with `close`; for tests and trials."""
        db = cls(_engine(make_url("sqlite://")))
        db.create()
        return db

    @classmethod
    def from_url(cls, url: str, *, create: bool = True) -> "LandscapeDB":
        """Open ``sqlite:///path`` or ``postgresql://…``; an empty database gets the tables.

        With ``create=False`` the landscape must be there already. Raises NotFoundError when it is
        not, LandscapeVersionError for a database that is somebody else's or of another version,
        UsageError for a URL that can't be used, LandscapeError when the server can't be reached.
        Passwords never show in these.
        """
        parsed = _parse(url)
        path = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        if path is not None:
            if not create and not path.exists():
                raise NotFoundError(
                    f"there is no landscape at {path}",
                    fix="run a pipeline first, or name the database: --database URL",
                )
            _make_parent(path)
        db = cls(_engine(parsed))
        try:
            db._adopt(create=create)
        except DBAPIError as error:
            db.close()
            raise _unreachable(parsed, error) from error
        except UnicodeDecodeError as error:
            db.close()
            where = parsed.render_as_string(hide_password=True)
            raise LandscapeError(
                f"the landscape {where} is damaged: its schema is not text", fix="restore it from a copy"
            ) from error
        except Exception:
            db.close()
            raise
        return db

    @property
    def is_file(self) -> bool:
        """Whether it is an SQLite file, to which each connection is one of its own."""
        return self.engine.dialect.name == "sqlite" and not isinstance(self.engine.pool, StaticPool)

    def apart(self) -> Connection:
        """A connection to an SQLite file that the pool does not count, for who keeps one for long."""
        return _engine(self.engine.url, poolclass=NullPool).connect()

    def close(self) -> None:
        """Give back every connection. An in-memory landscape is gone after this."""
        self.proof.release()
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction of this process at a time; raises LandscapeError when the database refuses.

        Then nothing of it is there.
        """
        try:
            with self.lock, self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise LandscapeError(
                f"the landscape can't be written: {_cause(error)}",
                fix="nothing of this record was put down; see to the database (space, rights, connection)",
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with; raises LandscapeError when the database breaks off."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise LandscapeError(
                f"the landscape can't be read: {_cause(error)}",
                fix="see to the database (file, server, connection), and ask again",
            ) from error

    def create(self) -> None:
        """Make all tables and views, in one transaction, unless another process just did."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(_ONE_AT_A_TIME[self.engine.dialect.name])
            if inspect(connection).has_table("traces"):
                return
            metadata.create_all(connection)
            for name, select in view_statements(self.engine.dialect.name).items():
                connection.exec_driver_sql(f"CREATE VIEW {name} AS {select}")
            connection.execute(
                text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            )
            connection.execute(
                text("INSERT INTO alembic_version VALUES (:version)"), {"version": SCHEMA_VERSION}
            )

    def _adopt(self, *, create: bool) -> None:
        tables = set(inspect(self.engine).get_table_names())
        where = self.engine.url.render_as_string(hide_password=True)
        if not tables:
            if not create:
                raise NotFoundError(f"there is no landscape at {where}: the database is empty")
            self.create()
            return
        version = None
        if "alembic_version" in tables:
            with self.engine.connect() as connection:
                version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if "traces" not in tables or version is None:
            raise LandscapeVersionError(
                f"{where} is a database of another program, not a landscape",
                fix="choose another landscape.url, or an empty database",
            )
        if version != SCHEMA_VERSION:
            newer = str(version) > SCHEMA_VERSION
            raise LandscapeVersionError(
                f"{where} has landscape version {version}, this release needs {SCHEMA_VERSION}",
                fix="nothing was changed; use the release that wrote it, or a newer one"
                if newer
                else "run `elspeth doctor --upgrade --database URL` (make a copy first),"
                " or use the matching release",
            )


@contextmanager
def raw_connection(url: str) -> Iterator[Connection]:
    """A connection to whatever is at a landscape's url, not adopted; for upgrades and diagnosis.

    Raises UsageError for a URL that can't be used, LandscapeError when the server can't be reached.
    """
    parsed = _parse(url)
    engine = _engine(parsed)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise _unreachable(parsed, error) from error
    finally:
        engine.dispose()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            "the landscape url can't be read", fix="write sqlite:///path or postgresql://user@host/db"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise UsageError(
            f"a landscape can't live in {parsed.get_backend_name()!r}",
            fix="write sqlite:///path or postgresql://user@host/db",
        )
    return parsed


def _make_parent(path: Path) -> None:
    if path.is_dir():
        raise UsageError(
            f"the landscape can't be {path}: that is a directory", fix=f"write sqlite:///{path}/landscape.db"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LandscapeError(
            f"the landscape's directory {path.parent} can't be made: {error.strerror}"
        ) from error


def _engine(url: URL, **pooling: Any) -> Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)  # a server may have been started anew meanwhile
        if url.database in (None, "", ":memory:"):
            # One connection for everybody, else each thread would see a database of its own.
            engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        else:
            engine = create_engine(url, connect_args={"timeout": 30}, **pooling)
    except ModuleNotFoundError as error:
        raise UsageError(
            "PostgreSQL needs the driver psycopg", fix='pip install "elspeth[postgres]"'
        ) from error
    event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _cause(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _unreachable(url: URL, error: DBAPIError) -> Exception:
    where = url.render_as_string(hide_password=True)
    cause = _cause(error)
    if url.password:
        cause = cause.replace(str(url.password), "***")
    if "not a database" in cause:
        return LandscapeVersionError(f"{where} is not a database", fix="choose another landscape.url")
    if url.get_backend_name() == "sqlite":
        fix = "see to the file's disk (space, rights), or choose another landscape.url"
        return LandscapeError(f"the landscape {where} can't be opened: {cause}", fix=fix)
    kind = "can't be reached" if isinstance(error, OperationalError) else "can't be used"
    return LandscapeError(
        f"the landscape {where} {kind}: {cause}", fix="check the url, the server and your rights"
    )
