"""``runs show --calls``: a run's external calls."""

from elspeth.api.database import default_database_url
from elspeth.core.landscape.calls.summary import CallSummary, summarise_calls
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader


def calls_of(run: str = "latest", database: str | None = None, *, limit: int = 5) -> CallSummary:
    """What a run's calls came to, with the ``limit`` slowest, dearest, last failed. Raises NotFoundError."""
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        return summarise_calls(db, LandscapeReader(db).run(run).run_id, limit)
    finally:
        db.close()
