"""A landscape with every kind of record in it, sealed, and ways to change it behind its back."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from elspeth.contracts.enums import CallStatus, CallType, RunStatus
from elspeth.contracts.plugins import Artifact
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.findings import Report
from elspeth.core.landscape.ledger.heads import Checkpoint as Anchored
from elspeth.core.landscape.ledger.heads import VerifierKey
from elspeth.core.landscape.ledger.records import find_run
from elspeth.core.landscape.ledger.verify import verify
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.tables import metadata
from elspeth.core.landscape.writer import Checkpoint, Group, GroupWriter

START = datetime(2026, 11, 21, 2, 15, 30, 123456, tzinfo=UTC)
RUNS = ("20261121T021530Z-first2", "20261121T031530Z-second")
STATE = frozenset({"run_leases", "experiment_stats"})
"""What is state and no record: it may be changed without anybody noticing."""


@dataclass
class Sealed:
    """A landscape whose runs were sealed."""

    db: LandscapeDB
    url: str

    def check(
        self,
        run_id: str | None = None,
        key: VerifierKey | None = None,
        anchored: list[Anchored] | None = None,
    ) -> Report:
        with self.db.engine.connect() as connection:
            run = None if run_id is None else find_run(connection, "run_id", run_id)
            return verify(connection, None if run is None else [run], key, anchored or [])

    def named(self) -> set[tuple[str, str, str]]:
        """What the check of the whole database finds: (table, key, what)."""
        return {(each.table, each.key, each.what) for each in self.check().all_findings()}

    def change(self, *statements: str) -> None:
        with self.db.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def records(self) -> dict[str, list[Any]]:
        """All rows of all tables that are record."""
        with self.db.engine.connect() as connection:
            return {
                name: sorted(
                    (tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")), key=repr
                )
                for name in metadata.tables
                if name not in STATE
            }


@pytest.fixture(scope="session")
def record_everything(record_orders: Any) -> Callable[[LandscapeDB, str], None]:
    """Writes a run with every kind of record in it, and seals it."""
    return lambda db, run_id: _write_everything(db, record_orders, run_id)


def _write_everything(db: LandscapeDB, record_orders: Callable[[LandscapeDB, str], Any], run_id: str) -> None:
    """A run with tokens of all sorts, errors, calls, assignments, a batch, a join, events and an artifact."""
    recorder = LandscapeRecorder(db)
    run = record_orders(db, run_id)
    state = f"{run_id}-0-0-0.1"
    call = ExternalCall(
        CallType.LLM, CallStatus.SUCCESS, {"prompt": "hi"}, {"answer": "ho"}, latency_ms=12.5, provider="p",
        tokens_in=10, tokens_out=20, cost=0.25,
    )  # fmt: skip
    for _ in range(2):
        recorder.record_call(state, call, run_id=run_id)
    for row_no in range(3):
        recorder.record_experiment_assignment(
            run_id, f"{run_id}-{row_no}", "exp", "control", {"x": Decimal(1)}
        )
    number = run.run_no
    batch = (f"{run_id}-b0", run_id, number, 0, "tidy", "count", "completed", START, START)
    more = {
        "batches": [batch],
        "batch_tokens": [(number, 0, "in", 0, 0, 0), (number, 0, "out", 0, 1, 0)],
        "trace_joins": [(number, 2, 0, 0, 1, 0), (number, 2, 0, 1, 0, 0)],
        "experiment_variants": [
            (number, 0, "split", "a", "explode", "{}", "f00d", 1),
            (number, 1, "later", "b", "approved", "{}", "beef", 1),
        ],
        "experiment_readings": [
            (number, "exp", "= row['x'] > 1", 2, b"b\x00\x01"),
            (number, "exp", "unit", 2, b"k"),
        ],
        "experiment_totals": [(number, "exp", 2, '{"assigned":[3]}')],
        "run_events": [(number, 0, "resumed", "{}", START)],
    }
    GroupWriter(db, run.book).commit(Group((), others=more), Checkpoint(2, 6, {}, {}, {}, "reading", START))
    artifact = Artifact("out/approved.csv", "ab" * 32, 120, 3)
    recorder.finish_run(run_id, RunStatus.COMPLETED_WITH_FAILURES, [("approved", artifact)])


@pytest.fixture(scope="session")
def sealed_file(tmp_path_factory: pytest.TempPathFactory, record_everything: Any) -> Path:
    """The SQLite file of two sealed runs, closed, with no journal beside it. Copy it before changing it."""
    path = tmp_path_factory.mktemp("sealed") / "landscape.db"
    db = LandscapeDB.from_url(f"sqlite:///{path}")
    for run_id in RUNS:
        record_everything(db, run_id)
    db.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return path


@pytest.fixture
def sealed_sqlite(sealed_file: Path, tmp_path: Path) -> Iterator[Sealed]:
    """Two sealed runs in a SQLite file."""
    path = tmp_path / "landscape.db"
    shutil.copy(sealed_file, path)
    db = LandscapeDB.from_url(f"sqlite:///{path}")
    yield Sealed(db, f"sqlite:///{path}")
    db.close()


@pytest.fixture
def sealed_postgres(postgres_url: str, record_everything: Any) -> Iterator[Sealed]:
    """Two sealed runs in a PostgreSQL database."""
    db = LandscapeDB.from_url(postgres_url)
    for run_id in RUNS:
        record_everything(db, run_id)
    yield Sealed(db, postgres_url)
    db.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def sealed(request: pytest.FixtureRequest) -> Sealed:
    """Two sealed runs, once in each kind of database."""
    name = "sealed_postgres" if request.param == "postgresql" else "sealed_sqlite"
    return cast(Sealed, request.getfixturevalue(name))
