"""What the ``database`` source and sink share: engines, and errors without passwords."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")


def connect_engine(url: str) -> Engine:
    """An engine for this URL (``postgresql://`` means psycopg 3). Raises SQLAlchemy's errors, ImportError."""
    parsed = _parsed(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed)
    if parsed.get_backend_name() == "sqlite":
        # Left to itself sqlite3 begins transactions late: savepoints commit, and DDL escapes.
        event.listen(engine, "connect", _no_implicit_begin)
        event.listen(engine, "begin", _begin)
    return engine


def _no_implicit_begin(connection: Any, record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def missing_file(url: str) -> Path | None:
    """The SQLite file of this URL if it is not there yet: connecting would make it."""
    parsed = _parsed(url)
    name = parsed.database
    if parsed.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    path = Path(name).absolute()
    return None if path.exists() else path


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ArgumentError("the url is not of the form dialect://user:password@host:port/name") from None


def shown_url(url: str) -> str:
    """The URL without its password."""
    try:
        return _parsed(url).render_as_string(hide_password=True)
    except ArgumentError:
        return _PASSWORD.sub(r"\1:***@", url)


def explained(error: BaseException, url: str) -> str:
    """The error's own words on one line, without SQL, links and passwords."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        message = str(error.orig)
    elif isinstance(error, NoSuchModuleError):
        message = f"there is no such kind of database, or its driver is not installed ({error})"
    else:
        message = str(error)
    message = _PASSWORD.sub(r"\1:***@", " ".join(message.split("(Background on this error")[0].split()))
    try:
        password = _parsed(url).password
    except ArgumentError:
        password = None
    return message.replace(str(password), "***") if password else message
