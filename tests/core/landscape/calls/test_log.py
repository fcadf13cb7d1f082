"""External calls on record."""

from decimal import Decimal

import pytest

from elspeth.core.canonical import digest
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.stepwise.states import StateStart


def test_calls_come_back_in_order(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    token = recorder.create_token("row-1")
    state = recorder.record_node_state(token.token_id, StateStart("llm"))
    call = ExternalCall(
        "llm", "success", {"q": "?"}, {"a": "!"}, latency_ms=12.5, provider="azure", tokens_in=3,
        tokens_out=4, cost=Decimal("0.0125"),
    )  # fmt: skip
    first = recorder.record_call(state, call)
    second = recorder.record_call(
        state, ExternalCall("blob", "error", "list", error={"reason": "blob_exists"}, attempt=2)
    )
    assert recorder.get_external_calls(state_id=state) == [first, second]
    assert (first.request_hash, first.response_hash) == (digest({"q": "?"}).hex(), digest({"a": "!"}).hex())
    assert (first.latency_ms, first.provider, first.tokens_in, first.tokens_out) == (12.5, "azure", 3, 4)
    assert first.cost == 0.0125
    assert (second.call_index, second.attempt, second.response_hash) == (1, 2, None)
    assert second.error == '{"reason":"blob_exists"}'
    assert list(LandscapeReader(landscape).token_lineage(token.token_id).calls) == [first, second]
    assert recorder.get_external_calls("nobody-0-0-0.1") == []


def test_a_state_must_be_there_unless_the_run_is_named(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    call = ExternalCall("http", "success", "GET /")
    for unknown in ("run-1-0-0-2.1", "nonsense"):
        with pytest.raises(ValueError, match=f"no node state '{unknown}'"):
            recorder.record_call(unknown, call)
    assert recorder.record_call("run-1-0-0-2.1", call, run_id="run-1").call_index == 0


def test_what_has_no_canonical_form_is_kept_as_what_it_looks_like() -> None:
    db = LandscapeDB.in_memory()
    made = LandscapeRecorder(db).record_call(
        "s-0-0-0.1", ExternalCall("http", "success", {"x": {1}}), run_id="s"
    )
    assert made.request is not None
    assert "{1}" in made.request
    db.close()


@pytest.mark.parametrize(("kind", "status"), [("fax", "success"), ("llm", "maybe")])
def test_kinds_and_statuses_are_closed(kind: str, status: str) -> None:
    db = LandscapeDB.in_memory()
    with pytest.raises(ValueError, match=r"fax|maybe"):
        LandscapeRecorder(db).record_call("s-0-0-0.1", ExternalCall(kind, status, "x"), run_id="s")
    db.close()
