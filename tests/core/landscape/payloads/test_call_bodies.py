"""Large bodies of calls go to the payload store, before anybody is told; they come back, and damage shows."""

import json
import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from elspeth.contracts.enums import CallStatus
from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.calls.journal import CallJournal, CallLookup, JournalCall, request_hash
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.payloads.forms import REFERENCE, Reference
from elspeth.core.landscape.recorder import LandscapeRecorder

RUN = "20261121T021530Z-abcdef"
STATE = f"{RUN}-0-0-1.1"
LONG = json.dumps({"messages": ["as long as a prompt may be " * 400]})


@pytest.fixture
def stored(landscape: LandscapeDB, tmp_path: Path) -> LandscapeDB:
    landscape.payloads.base = tmp_path / "payloads"
    return landscape


def journal(db: LandscapeDB, *bodies: tuple[str, str | None]) -> None:
    made = CallJournal(db, gap_s=0.0)
    for index, (request, response) in enumerate(bodies):
        made.put(JournalCall(RUN, STATE, index, CallStatus.SUCCESS, request, response))
    made.close()


def column(db: LandscapeDB, name: str) -> list[str]:
    with db.engine.connect() as connection:
        return list(connection.execute(text(f"SELECT {name} FROM calls ORDER BY call_index")).scalars())


def test_large_bodies_are_outside_and_read_as_they_were(stored: LandscapeDB, tmp_path: Path) -> None:
    journal(stored, (LONG, "short"), ("short", LONG + "!"), (LONG, None))
    assert [body.startswith(REFERENCE) for body in column(stored, "request")] == [True, False, True]
    assert column(stored, "response")[0] == "short"
    found = LandscapeRecorder(stored).get_external_calls(STATE)
    assert [call.request for call in found] == [LONG, "short", LONG]
    assert [call.response for call in found] == ["short", LONG + "!", None]
    assert [call.request_hash for call in found] == [request_hash(call.request or "") for call in found]
    lookup = CallLookup(stored, RUN)
    assert [lookup.read(key.call_id).response for key in lookup.of_state(STATE)] == [
        "short", LONG + "!", None,
    ]  # fmt: skip
    [segment] = (tmp_path / "payloads" / RUN).iterdir()
    assert segment.stat().st_size < 1000


def test_calls_of_many_commits_share_a_segment(stored: LandscapeDB, tmp_path: Path) -> None:
    made = CallJournal(stored, gap_s=0.0)
    for number in range(20):
        made.put(JournalCall(RUN, STATE, number, CallStatus.SUCCESS, f"{LONG}{number % 7}"))
        made.flush()
    made.close()
    assert made.commits == 20
    assert len(list((tmp_path / "payloads" / RUN).iterdir())) == 1
    assert len(set(column(stored, "request"))) == 7
    found = LandscapeRecorder(stored).get_external_calls(STATE)
    assert [call.request for call in found] == [f"{LONG}{number % 7}" for number in range(20)]


def test_who_is_told_finds_the_bodies_on_the_disk(
    stored: LandscapeDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    synced, begin = os.fsync, stored.engine.begin

    def sync(handle: int) -> None:
        synced(handle)
        order.append("file" if stat.S_ISREG(os.fstat(handle).st_mode) else "directory")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(stored.engine, "begin", lambda: order.append("begun") or begin())
    made = CallJournal(stored, gap_s=0.0)
    made.put(JournalCall(RUN, STATE, 0, CallStatus.SUCCESS, LONG))
    made.flush()
    assert order[0] == "file"
    assert order[1:-1] == ["directory"] * 3
    assert order[-1] == "begun"
    made.close()


def test_a_store_that_can_not_be_written_is_told_to_everybody(stored: LandscapeDB, tmp_path: Path) -> None:
    (tmp_path / "payloads").write_text("a file is in the way")
    made = CallJournal(stored, gap_s=0.0)
    made.put(JournalCall(RUN, STATE, 0, CallStatus.SUCCESS, LONG))
    with pytest.raises(LandscapeError, match="payload store can't be written"):
        made.flush()
    with pytest.raises(LandscapeError):
        made.close()
    assert column(stored, "call_id") == []


def test_one_call_by_itself_too(stored: LandscapeDB) -> None:
    recorder = LandscapeRecorder(stored)
    made = recorder.record_call(STATE, ExternalCall("http", "success", {"body": LONG}, LONG), run_id=RUN)
    assert (json.loads(made.request or "")["body"], made.response) == (LONG, LONG)
    assert column(stored, "request")[0].startswith(f"{REFERENCE}{RUN}/calls-")


def test_no_text_is_taken_for_a_reference(stored: LandscapeDB) -> None:
    journal(stored, (LONG, None))
    [real] = column(stored, "request")
    imitation = str(Reference(f"{RUN}/calls-0.seg", 18, 10, request_hash("x")))
    recorder = LandscapeRecorder(stored)
    for said in (real, imitation, "@", "@a:b:c:d"):
        assert recorder.record_call(STATE, ExternalCall("http", "success", said), run_id=RUN).request == said
    assert [call.request for call in recorder.get_external_calls(STATE)][1:] == [
        real, imitation, "@", "@a:b:c:d",
    ]  # fmt: skip


def test_a_process_that_comes_after_writes_a_segment_of_its_own(stored: LandscapeDB, tmp_path: Path) -> None:
    journal(stored, (LONG, None))
    [first] = (tmp_path / "payloads" / RUN).iterdir()
    before = first.read_bytes()
    stored.payloads._calls.clear()
    made = CallJournal(stored, gap_s=0.0)
    made.put(JournalCall(RUN, STATE, 5, CallStatus.SUCCESS, LONG))
    made.close()
    assert len(list((tmp_path / "payloads" / RUN).iterdir())) == 2
    assert first.read_bytes() == before
