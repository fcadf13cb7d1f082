"""The record as a cache: the newest good answer of another run to the very same request."""

from datetime import timedelta

from elspeth.contracts.enums import CallStatus
from elspeth.core.clock import Clock
from elspeth.core.landscape.calls.cache import CachedCall, CallCache, cache_key
from elspeth.core.landscape.calls.journal import CallJournal, JournalCall, request_hash
from elspeth.core.landscape.database import LandscapeDB

HASH = request_hash("what?")
KEY = cache_key("https://here/v1", HASH)


def put(db: LandscapeDB, run: str, response: str | None, **more: object) -> None:
    facts = {"request": "what?", "cache_key": KEY, "status": CallStatus.SUCCESS} | more
    journal = CallJournal(db)
    journal.put(
        JournalCall(run_id=run, state_id=f"{run}-0-0-1.1", call_index=0, response=response, **facts)  # type: ignore[arg-type]
    )
    journal.close()


def test_the_newest_good_answer_of_another_run_is_found(landscape: LandscapeDB) -> None:
    cache = CallCache(landscape, "now", Clock())
    assert cache.find(KEY, HASH) is None
    put(landscape, "first", "old")
    put(landscape, "second", "new")
    put(landscape, "third", "wrong", status=CallStatus.ERROR)
    put(landscape, "fourth", "without a key", cache_key=None)
    put(landscape, "fifth", "to another question", request="who?")
    put(landscape, "now", "own")
    assert cache.find(KEY, HASH) == CachedCall("second-0-0-1.1-call-0", "new")
    assert cache.find(cache_key("https://there/v1", HASH), HASH) is None
    assert CallCache(landscape, "now", Clock(), timedelta(0)).find(KEY, HASH) is None
    assert CallCache(landscape, "now", Clock(), timedelta(hours=1)).find(KEY, HASH) is not None


def test_long_answers_are_found_where_they_are_kept(landscape: LandscapeDB) -> None:
    put(landscape, "first", "x" * 10_000)
    found = CallCache(landscape, "now", Clock()).find(KEY, HASH)
    assert found is not None
    assert found.response == "x" * 10_000


def test_the_index_is_used(sqlite_url: str) -> None:
    db = LandscapeDB.from_url(sqlite_url)
    query = (
        "SELECT call_id FROM calls WHERE cache_key = 'a' AND request_hash = 'b' AND run_id <> 'c'"
        " AND status = 'success' AND response IS NOT NULL ORDER BY created_at DESC LIMIT 1"
    )
    with db.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    db.close()
    assert any("ix_calls_cache_key" in row[-1] for row in plan)
