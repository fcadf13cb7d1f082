"""Is this installation fit to run pipelines, and is its landscape?"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from elspeth.api.database import default_database_url
from elspeth.contracts.errors import ElspethError, NotFoundError
from elspeth.contracts.version import __version__
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.schema import SCHEMA_VERSION
from elspeth.core.secrets import FINGERPRINT_VARIABLE, Redactor

_PYTHON = (3, 11)
_SQLITE = (3, 38, 0)
_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 50_000_000
_EXTRAS = (("postgres", "psycopg", "landscapes in PostgreSQL"), ("parquet", "pyarrow", "Parquet files"))


class Verdict(StrEnum):
    """``warn``: works, but something is missing that may be wanted; ``fail``: runs will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``remedy`` is empty if there is nothing to do."""

    name: str
    verdict: Verdict
    what: str
    remedy: str = ""


def examine(database: str | None = None, environ: Mapping[str, str] | None = None) -> list[Check]:
    """Look at Python, SQLite, the extras, the landscape and its disk, and the fingerprint key.

    Changes nothing. Whatever is wrong is a `Check`, not an exception.
    """
    env = os.environ if environ is None else environ
    url = database or default_database_url(env)
    return [
        python_check(sys.version_info[:3]),
        sqlite_check(sqlite3.sqlite_version_info),
        *_extras(),
        landscape_check(url),
        space_check(shutil.disk_usage(_nearest(_place(url))).free, _place(url)),
        _fingerprints(env),
    ]


def upgrade_landscape(database: str | None = None) -> str:
    """Bring a landscape to this release's version, in one transaction; return that version.

    Raises NotFoundError where there is none, LandscapeVersionError for a database of another program
    or a newer release.
    """
    from elspeth.core.landscape.upgrade import upgrade  # noqa: PLC0415  # Alembic takes long to load

    return upgrade(database or default_database_url())


def python_check(version: tuple[int, ...]) -> Check:
    """Whether this Python is new enough."""
    shown = ".".join(map(str, version))
    what = f"{shown}, elspeth {__version__}"
    if version >= _PYTHON:
        return Check("python", Verdict.OK, what)
    return Check("python", Verdict.FAIL, what, "install Python 3.11 or later")


def sqlite_check(version: tuple[int, ...]) -> Check:
    """Whether the SQLite library has the JSON functions that the landscape's views use."""
    shown = ".".join(map(str, version))
    if version >= _SQLITE:
        return Check("sqlite", Verdict.OK, shown)
    return Check("sqlite", Verdict.FAIL, shown, "install a Python with SQLite 3.38 or later")


def landscape_check(url: str) -> Check:
    """Whether the landscape can be reached, read and written, and has this release's version."""
    shown = Redactor(None).text(url)
    try:
        db = LandscapeDB.from_url(url, create=False)
    except NotFoundError:
        return _new_landscape(url, shown)
    except ElspethError as error:
        return Check("landscape", Verdict.FAIL, error.what, error.fix)
    try:
        if not _writable(db, url):
            return Check(
                "landscape", Verdict.FAIL, f"{shown} can be read, but not written", "change its rights"
            )
        newest = LandscapeReader(db).runs(1)
    finally:
        db.close()
    last = f", newest run {newest[0].run_id}" if newest else ", no runs yet"
    return Check("landscape", Verdict.OK, f"{shown}, version {SCHEMA_VERSION}{last}")


def space_check(free: int, place: Path) -> Check:
    """Whether there is room for the landscape to grow: a run of 10⁶ rows takes some 300 MB."""
    what = f"{free / 1e9:.1f} GB free for {place}"
    if free < _NO_SPACE:
        return Check("disk", Verdict.FAIL, what, "free some space, or put the landscape elsewhere")
    if free < _LITTLE_SPACE:
        return Check("disk", Verdict.WARN, what, "a run of a million rows needs about 0.3 GB for its record")
    return Check("disk", Verdict.OK, what)


def _extras() -> Iterator[Check]:
    for extra, module, use in _EXTRAS:
        if find_spec(module) is not None:
            yield Check(extra, Verdict.OK, f"{module} is installed ({use})")
        else:
            yield Check(
                extra, Verdict.WARN, f"{module} is not installed ({use})", f'pip install "elspeth[{extra}]"'
            )


def _new_landscape(url: str, shown: str) -> Check:
    place = _nearest(_place(url))
    if url.startswith("sqlite") and not (place.is_dir() and os.access(place, os.W_OK)):
        return Check(
            "landscape",
            Verdict.FAIL,
            f"{shown} is not there, and {place} can't be written to",
            "change its rights",
        )
    return Check("landscape", Verdict.OK, f"{shown} is not there yet; the first run makes it")


def _writable(db: LandscapeDB, url: str) -> bool:
    if url.startswith("sqlite"):
        path = _place(url)
        return not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    with db.engine.connect() as connection:
        question = "SELECT has_table_privilege('traces', 'INSERT')"
        return bool(connection.exec_driver_sql(question).scalar())


def _place(url: str) -> Path:
    """The SQLite file; the working directory, where sinks write, for a landscape that is elsewhere."""
    scheme, _, name = url.partition(":///")
    return Path(name) if scheme.startswith("sqlite") and name else Path()


def _nearest(path: Path) -> Path:
    """The path itself or the first directory above it that is there."""
    here = path.absolute()
    return next(place for place in (here, *here.parents) if place.exists())


def _fingerprints(environ: Mapping[str, str]) -> Check:
    if environ.get(FINGERPRINT_VARIABLE):
        return Check("fingerprints", Verdict.OK, f"{FINGERPRINT_VARIABLE} is set")
    return Check(
        "fingerprints",
        Verdict.WARN,
        f"{FINGERPRINT_VARIABLE} is not set: secrets are recorded as [redacted] and can't be told apart",
        f"set {FINGERPRINT_VARIABLE} to a long random text, and keep it",
    )
