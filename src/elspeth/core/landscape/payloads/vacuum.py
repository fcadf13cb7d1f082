"""Giving back the space that a purge left in the database."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.database import LandscapeDB


def vacuum_landscape(db: LandscapeDB) -> None:
    """Rewrite the database without what was deleted.

    What was purged is in free pages of the file until then. Raises LandscapeError if somebody is at
    work in the database, or if there is no room for the copy that SQLite makes.
    """
    sqlite = db.engine.dialect.name == "sqlite"
    try:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
            if sqlite:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    except DBAPIError as error:
        raise LandscapeError(
            f"the purge is done, but the database could not be vacuumed: {str(error.orig).strip()}",
            fix="run `elspeth purge --vacuum` again when nobody works in it, with room for a copy of it",
        ) from error


def file_size(db: LandscapeDB) -> int | None:
    """The bytes of a SQLite file with its log; None for PostgreSQL, and in memory."""
    path = Path(db.engine.url.database or "")
    if db.engine.dialect.name != "sqlite" or not path.is_file():
        return None
    total = path.stat().st_size
    with suppress(FileNotFoundError):
        total += path.with_name(f"{path.name}-wal").stat().st_size
    return total
