"""What the engine put down of experiments with its commits: readings, and everything added up.

A *reading* is one column: the values of one thing (the variant, the unit, a metric's expression) for the
tokens that came out of variants, in the order in which they did. Each commit adds a piece to every
column, and one line of totals.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import bindparam, text

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.variants.sql import REFUSED

_READINGS = text(
    """SELECT commit_no, reading, data FROM experiment_readings
    WHERE run_no = :run_no AND experiment_id = :experiment_id AND commit_no <= :until
    AND reading IN :readings ORDER BY commit_no"""
).bindparams(bindparam("readings", expanding=True))
_COLUMN = text(
    """SELECT commit_no, data FROM experiment_readings
    WHERE run_no = :run_no AND experiment_id = :experiment_id AND reading = :reading
    AND commit_no <= :until ORDER BY commit_no"""
)
_NAMES = text(
    """SELECT DISTINCT reading FROM experiment_readings
    WHERE run_no = :run_no AND experiment_id = :experiment_id"""
)
_TOTALS = text(
    """SELECT commit_no, totals_json FROM experiment_totals
    WHERE run_no = :run_no AND experiment_id = :experiment_id ORDER BY commit_no DESC LIMIT 1"""
)
_ANY_CALL = text("SELECT 1 FROM calls WHERE run_id = :run_id LIMIT 1")
_CALLS = text(
    f"""SELECT state_id, status, tokens_in, tokens_out, cost, latency_ms, {REFUSED} AS refused FROM calls
    WHERE state_id IN :state_ids"""
).bindparams(bindparam("state_ids", expanding=True))
_CHUNK = 500


def reading_names(db: LandscapeDB, run_no: int, experiment_id: str) -> set[str]:
    """The columns that a run has of an experiment."""
    with db.reading() as connection:
        found = connection.execute(_NAMES, {"run_no": run_no, "experiment_id": experiment_id})
        return {row.reading for row in found}


def read_readings(
    db: LandscapeDB, run_no: int, experiment_id: str, names: Collection[str], until: int
) -> Iterator[dict[str, bytes]]:
    """The pieces of these columns, a dict for every commit up to this one. One may lack some: see there."""
    key = {
        "run_no": run_no,
        "experiment_id": experiment_id,
        "readings": sorted(names),
        "until": until,
    }
    with db.reading() as connection:
        piece: dict[str, bytes] = {}
        at = None
        for row in connection.execution_options(yield_per=200).execute(_READINGS, key):
            if row.commit_no != at and piece:
                yield piece
                piece = {}
            at = row.commit_no
            piece[row.reading] = bytes(row.data)
        if piece:
            yield piece


def read_column(db: LandscapeDB, run_no: int, experiment_id: str, name: str, until: int) -> dict[int, bytes]:
    """The pieces of one column by commit, in order; in the order of the key, so that nothing is sorted."""
    key = {"run_no": run_no, "experiment_id": experiment_id, "reading": name, "until": until}
    with db.reading() as connection:
        return {row.commit_no: bytes(row.data) for row in connection.execute(_COLUMN, key)}


def last_totals(db: LandscapeDB, run_no: int, experiment_id: str) -> tuple[int, str] | None:
    """The last commit that had something of the experiment, and the totals up to it."""
    with db.reading() as connection:
        row = connection.execute(_TOTALS, {"run_no": run_no, "experiment_id": experiment_id}).one_or_none()
        return None if row is None else (row.commit_no, row.totals_json)


class CallSums:
    """What the calls of steps add up to."""

    def __init__(self, db: LandscapeDB, run_id: str) -> None:
        self._db = db
        self._run_id = run_id
        self._any = False

    def any(self) -> bool:
        """Whether the run has made a call."""
        if not self._any:
            with self._db.reading() as connection:
                self._any = connection.execute(_ANY_CALL, {"run_id": self._run_id}).scalar() is not None
        return self._any

    def of(self, steps: Mapping[str, int]) -> dict[str, dict[str, float]]:
        """Step (a state's id without its attempt) → sums over its attempts, for those that made calls.

        ``steps`` maps each to its last attempt.
        """
        found: dict[str, dict[str, float]] = {}
        with self._db.reading() as connection:
            states = [f"{step}.{attempt}" for step, last in steps.items() for attempt in range(1, last + 1)]
            for start in range(0, len(states), _CHUNK):
                key = {"state_ids": states[start : start + _CHUNK]}
                for row in connection.execute(_CALLS, key):
                    _add(found.setdefault(row.state_id.rpartition(".")[0], dict(NO_USAGE)), row)
        return found


NO_USAGE: Mapping[str, float] = {
    "calls": 0,
    "failed_calls": 0,
    "refused_calls": 0,
    "tokens_in": 0,
    "tokens_out": 0,
    "tokens_total": 0,
    "cost": 0.0,
    "latency_ms": 0.0,
}


def _add(used: dict[str, float], row: Any) -> None:
    tokens_in, tokens_out = float(row.tokens_in or 0), float(row.tokens_out or 0)
    used["calls"] += 1.0
    used["failed_calls"] += float(row.status != "success")
    used["refused_calls"] += float(row.refused)
    used["tokens_in"] += tokens_in
    used["tokens_out"] += tokens_out
    used["tokens_total"] += tokens_in + tokens_out
    used["cost"] += float(row.cost or 0)
    used["latency_ms"] += float(row.latency_ms or 0)
