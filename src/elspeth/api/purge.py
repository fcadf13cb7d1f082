"""``purge``: take the contents of rows and calls away when their time is over; hashes stay."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from elspeth.api.database import default_database_url
from elspeth.contracts.enums import RunStatus
from elspeth.contracts.errors import UsageError
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import RunHeldError
from elspeth.core.landscape.payloads.purge import Purged, ended_before, purge_run, survey
from elspeth.core.landscape.payloads.vacuum import file_size, vacuum_landscape
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.records import RunRecord

_AGE = re.compile(r"(?P<count>\d{1,6})\s*(?P<unit>[hdwy])", re.IGNORECASE)
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """What was purged, or would be (``dry_run``). ``kept`` maps run ids to why they were left alone.

    ``file_bytes_freed`` is what the database file shrank by (below 0: it grew), None without a vacuum
    of SQLite. Small rows take hardly more room than the hash that stays in their place.
    """

    dry_run: bool
    runs: tuple[Purged, ...]
    kept: tuple[tuple[str, str], ...]
    vacuumed: bool = False
    file_bytes_freed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The shape of ``elspeth purge --json``."""
        return {
            "dry_run": self.dry_run,
            "runs": [asdict(run) for run in self.runs],
            "kept": dict(self.kept),
            "vacuumed": self.vacuumed,
            "file_bytes_freed": self.file_bytes_freed,
        }


def purge(
    run: str | None = None,
    *,
    older_than: str | timedelta | None = None,
    dry_run: bool = False,
    vacuum: bool = False,
    database: str | None = None,
) -> PurgeResult:
    """Purge one run, or all that ended longer than ``older_than`` ago (``90d``; h, d, w or y).

    With neither, each run goes by the ``payload_store.retention_days`` of its own settings, and is
    kept if it has none. Running runs are never purged. ``vacuum`` gives the space in the database
    back, and makes sure that nothing of what was purged is left in its file.

    Raises UsageError for an age that can't be read, for a single run that is running or held,
    NotFoundError for an unknown one.
    """
    age = parse_age(older_than) if isinstance(older_than, str) else older_than
    url = database or default_database_url()
    db = LandscapeDB.from_url(url, create=False)
    try:
        now = Clock().now()
        reason = {"older_than_days": None if age is None else age / timedelta(days=1)}
        done, kept = [], []
        before = file_size(db)
        for found in _candidates(db, run, age, now):
            if found.status == RunStatus.RUNNING and run is None:
                kept.append((found.run_id, "it is running"))
                continue
            try:
                made = _survey(db, found) if dry_run else purge_run(db, found, now, reason=reason)
            except RunHeldError as error:
                if run is not None:
                    raise
                kept.append((found.run_id, error.what))
                continue
            if not made.nothing:
                done.append(made)
        if dry_run or not vacuum:
            return PurgeResult(dry_run, tuple(done), tuple(kept))
        vacuum_landscape(db)
        after = file_size(db)
        freed = None if before is None or after is None else before - after
        return PurgeResult(dry_run, tuple(done), tuple(kept), vacuumed=True, file_bytes_freed=freed)
    finally:
        db.close()


def parse_age(text: str) -> timedelta:
    """``90d``, ``12h``, ``6w`` or ``7y`` as a time span. Raises UsageError."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not an age", fix="write a number and a unit: 12h, 90d, 6w or 7y")
    return int(match["count"]) * _UNITS[match["unit"].lower()]


def _survey(db: LandscapeDB, run: RunRecord) -> Purged:
    if run.status == RunStatus.RUNNING:
        raise UsageError(
            f"run {run.run_id} is running: nothing of it can be purged", fix="wait until it ends"
        )
    return survey(db, run)


def _candidates(
    db: LandscapeDB, run: str | None, age: timedelta | None, now: datetime
) -> Iterator[RunRecord]:
    reader = LandscapeReader(db)
    if run is not None:
        found = reader.run(run)
        if age is None or (found.completed_at or found.started_at) < now - age:
            yield found
        return
    for run_id in ended_before(db, now - (age or timedelta())):
        found = reader.run(run_id)
        if age is not None or _expired(found, now):
            yield found


def _expired(run: RunRecord, now: datetime) -> bool:
    days = (orjson.loads(run.settings_json).get("payload_store") or {}).get("retention_days")
    return isinstance(days, int) and (run.completed_at or run.started_at) < now - timedelta(days=days)
