"""Which landscape is meant when nobody says, and opening it to read."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader

URL_VARIABLE = "ELSPETH_LANDSCAPE__URL"
DEFAULT_URL = "sqlite:///.elspeth/landscape.db"


def default_database_url(environ: Mapping[str, str] | None = None) -> str:
    """``ELSPETH_LANDSCAPE__URL`` if it is set, else ``.elspeth/landscape.db`` in the working directory."""
    return (os.environ if environ is None else environ).get(URL_VARIABLE) or DEFAULT_URL


@contextmanager
def landscape_reader(database: str | None = None) -> Iterator[LandscapeReader]:
    """A reader of the landscape at a URL (None: the default one), closed at the end.

    Raises NotFoundError where there is none, LandscapeVersionError where it is not of this version.
    """
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        yield LandscapeReader(db)
    finally:
        db.close()
