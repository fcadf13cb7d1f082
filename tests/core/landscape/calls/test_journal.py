"""Calls in groups: durable before anybody is told, found again by state, on both databases."""

import threading
from decimal import Decimal

import pytest
from sqlalchemy import text

from elspeth.contracts.enums import CallStatus
from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.calls.journal import CallJournal, CallLookup, JournalCall, request_hash
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder

RUN = "20261121T021530Z-abcdef"


def call(number: int, index: int = 0, attempt: int = 1, **more: object) -> JournalCall:
    return JournalCall(
        RUN, f"{RUN}-{number}-0-1.{attempt}", index, CallStatus.SUCCESS, f"request {number}", **more
    )  # type: ignore[arg-type]


def test_what_was_put_before_is_durable_when_one_is_told(landscape: LandscapeDB) -> None:
    journal = CallJournal(landscape, gap_s=0.0)
    for number in range(200):
        journal.put(call(number, response="{}", tokens_in=3, tokens_out=4, cost=Decimal("0.0125")))
    found: list[object] = []
    told = threading.Event()

    def look(error: BaseException | None) -> None:
        with landscape.engine.connect() as connection:
            found.extend([error, connection.execute(text("SELECT COUNT(*) FROM calls")).scalar()])
        told.set()

    journal.after(look)
    assert told.wait(30)
    assert found == [None, 200]
    journal.close()
    assert journal.commits < 200
    (record,) = LandscapeRecorder(landscape).get_external_calls(f"{RUN}-7-0-1.1")
    assert (record.request, record.cost, record.tokens_out) == ("request 7", 0.0125, 4)
    assert record.request_hash == request_hash("request 7")


def test_calls_are_found_by_step_over_all_attempts(landscape: LandscapeDB) -> None:
    journal = CallJournal(landscape)
    journal.put(call(2, attempt=2, cost=Decimal("0.5"), tokens_in=1))
    journal.put(call(2, index=1, cost=Decimal("0.25"), tokens_out=2))
    journal.put(call(2, index=0))
    journal.put(call(10))
    journal.flush()
    lookup = CallLookup(landscape, RUN)
    assert len(lookup) == 2
    found = lookup.of_state(f"{RUN}-2-0-1.1")
    assert [(key.attempt, key.call_index) for key in found] == [(1, 0), (1, 1), (2, 0)]
    assert lookup.read(found[0].call_id).request_hash == request_hash("request 2")
    assert lookup.of_state(f"{RUN}-3-0-1.1") == []
    assert lookup.spent() == (Decimal("0.75"), 3)
    assert CallLookup(landscape, "another").spent() == (Decimal(0), 0)
    with pytest.raises(KeyError):
        lookup.read("nobody")
    journal.close()


def test_a_database_that_refuses_is_told_to_everybody(landscape: LandscapeDB) -> None:
    journal = CallJournal(landscape)
    journal.put(call(1))
    journal.put(call(1))
    with pytest.raises(LandscapeError, match="can't be put on record"):
        journal.flush()
    with pytest.raises(LandscapeError):
        journal.close()


def test_a_commit_that_need_not_wait_for_the_disk_leaves_others_as_they_were(sqlite_url: str) -> None:
    db = LandscapeDB.from_url(sqlite_url)
    journal = CallJournal(db, gap_s=0.0, sync_s=3600.0)
    for number in range(3):
        journal.put(call(number, latency_ms=5.0))
        journal.flush()
    assert journal.commits == 3
    with db.engine.connect() as other:
        # Committed is committed, also for those who look from outside.
        assert other.execute(text("SELECT COUNT(*) FROM calls")).scalar() == 3
    journal.close()
    connections = [db.engine.connect() for _ in range(3)]
    assert [c.exec_driver_sql("PRAGMA synchronous").scalar() for c in connections] == [2, 2, 2]
    for connection in connections:
        connection.close()
    db.close()


def test_any_number_of_journals_may_be_open(sqlite_url: str) -> None:
    db = LandscapeDB.from_url(sqlite_url)
    journals = [CallJournal(db, sync_s=3600.0) for _ in range(20)]
    for number, journal in enumerate(journals):
        journal.put(call(number))
        journal.flush()
    assert len(CallLookup(db, RUN)) == 20
    for journal in journals:
        journal.close()
    db.close()
