"""What people see of external calls: in progress, in a run's summary, in a row's story."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from elspeth.api.run_calls import calls_of
from elspeth.cli.conversations import conversation
from elspeth.cli.progress import describe
from elspeth.contracts.enums import CallStatus
from elspeth.contracts.errors import NotFoundError
from elspeth.core.landscape.calls.journal import CallJournal, JournalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.engine.result import Progress

RUN = "20261121T021530Z-abcdef"
METRICS = {
    "calls": 400, "in_flight": 30, "tokens_in": 1000, "tokens_out": 500, "cost": 0.25, "throttled": 3,
    "breaker": "open",
}  # fmt: skip


def test_progress_shows_calls() -> None:
    text = describe(Progress(RUN, 100, None, 4.0, {}, {"ask": METRICS}))
    assert text.startswith("100 rows · 25/s · 30 calls in flight · 100 calls/s · 1,500 tokens")
    assert text.endswith(" · cost 0.25 · 3 × 429 · breaker open")
    assert "calls" not in describe(Progress(RUN, 100, None, 4.0, {}))


def test_a_conversation_is_read_from_the_record() -> None:
    messages = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Why?"}]
    answer = {"body": {"choices": [{"message": {"content": "Because."}}]}}
    said = list(conversation(json.dumps({"messages": messages}), json.dumps(answer)))
    assert said == [("system", "Be brief"), ("prompt", "Why?"), ("answer", "Because.")]
    assert list(conversation("GET /", "no JSON")) == []
    assert list(conversation(None, None)) == []


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    LandscapeRecorder(db).begin_run(RunStart(RUN, {}, "c"))
    journal = CallJournal(db)
    for number in range(8):
        status = CallStatus.ERROR if number == 3 else CallStatus.SUCCESS
        error = '{"error":"HTTP 500: it broke","kind":"server_error"}' if number == 3 else None
        journal.put(
            JournalCall(
                RUN, f"{RUN}-{number}-0-1.1", 0, status, "{}", error=error, provider="azure",
                latency_ms=100.0 * number, tokens_in=10, tokens_out=2, cost=Decimal(number),
            )
        )  # fmt: skip
    journal.close()
    db.close()


@pytest.mark.usefixtures("recorded")
def test_the_slowest_dearest_and_failed_calls_are_named() -> None:
    found = calls_of(RUN)
    assert [(one.status, one.calls, one.cost) for one in found.totals] == [
        ("error", 1, 3.0),
        ("success", 7, 25.0),
    ]
    assert [call["latency_ms"] for call in found.slowest] == [700.0, 600.0, 500.0, 400.0, 300.0]
    assert [call["cost"] for call in found.dearest][:2] == [7.0, 6.0]
    assert [call["call_id"] for call in found.failed] == [f"{RUN}-3-0-1.1-call-0"]
    assert found.to_dict()["totals"][1]["tokens_in"] == 70
    with pytest.raises(NotFoundError):
        calls_of("nobody")
