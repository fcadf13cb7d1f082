"""Operations: what is done to things outside is a run like any other, and on record before it is done."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth.contracts.enums import CallStatus, CallType
from elspeth.contracts.errors import NotFoundError
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.deeds import known_names, read_deeds, read_operation_events
from elspeth.core.landscape.ledger.verify import verify
from elspeth.core.landscape.operations import OperationStart, operation
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.recorder import LandscapeRecorder

START = OperationStart("fleet apply", "rg/web", {"fleet": "web"}, "azure_vm")


@pytest.fixture
def db(landscape_url: str) -> Iterator[LandscapeDB]:
    opened = LandscapeDB.from_url(landscape_url)
    yield opened
    opened.close()


def clean(db: LandscapeDB) -> bool:
    """Whether the whole record proves itself."""
    with db.reading() as connection:
        return verify(connection).ok


def call(path: str, status: CallStatus = CallStatus.SUCCESS) -> ExternalCall:
    return ExternalCall(
        CallType.ARM, status, {"method": "PUT", "path": path}, {"status": 201}, latency_ms=3.0
    )


def test_an_operation_is_a_run_and_each_thing_a_row_with_its_calls(db: LandscapeDB) -> None:
    with operation(db, START) as doing:
        digest = doing.note("planned", {"creates": ["web-000"]})
        doing.record_call(call("/list"))
        with doing.unit("web-000", "create", {"size": "small"}) as unit:
            doing.record_call(call("/web-000"))
            unit.facts["state"] = "running"
    reader = LandscapeReader(db)
    run = reader.run(doing.run_id)
    assert (run.status, run.pipeline, run.run_mode) == ("completed", "fleet apply rg/web", "operation")
    assert len(digest) == 64
    row = reader.row_lineage(run.run_id, 0)
    assert row.row_id.startswith("web-000@")
    token = row.tokens[0]
    assert (token.outcome, token.sink_name) == ("COMPLETED", "done")
    assert [made.call_type for made in token.calls] == ["arm"]
    assert token.states[0].output_data == {
        "name": "web-000", "action": "create", "size": "small", "state": "running",
    }  # fmt: skip
    own = LandscapeRecorder(db).get_external_calls(f"{run.run_id}-azure_vm")
    assert [made.request for made in own] == ['{"method":"PUT","path":"/list"}']
    assert clean(db)
    with pytest.raises(NotFoundError, match="only what was done to machines"):
        reader.run("latest")


def test_what_fails_is_a_row_that_failed_with_the_reason(db: LandscapeDB) -> None:
    def fail() -> None:
        raise ValueError("no more machines")

    with (
        operation(db, START) as doing,
        pytest.raises(ValueError, match="no more"),
        doing.unit("web-000", "create", {}),
    ):
        fail()
    reader = LandscapeReader(db)
    assert reader.run(doing.run_id).status == "completed_with_failures"
    token = reader.row_lineage(doing.run_id, 0).tokens[0]
    assert (token.outcome, token.sink_name) == ("FAILED", "failed")
    assert token.errors[0].reason == {"error": "no more machines"}
    assert clean(db)


def test_the_intent_is_on_record_before_anything_is_done(db: LandscapeDB) -> None:
    with operation(db, START) as doing, doing.unit("web-000", "create", {"size": "small"}):
        reader = LandscapeReader(db)
        before = reader.row_lineage(doing.run_id, 0)
        assert before.source_data == {"name": "web-000", "action": "create", "size": "small"}
        assert [state.status for state in before.tokens[0].states] == ["running"]


def test_a_change_that_no_unit_names_is_announced(db: LandscapeDB) -> None:
    with operation(db, START) as doing:
        doing.intend("PUT", "/group")
        with doing.unit("web-000", "create", {}):
            doing.intend("PUT", "/nics/web-000-nic")
            doing.intend("PUT", "/networks/vnet")
    with db.reading() as connection:
        events = connection.exec_driver_sql("SELECT kind, detail FROM run_events").all()
    assert [tuple(event) for event in events] == [
        ("intent", '{"method":"PUT","path":"/group"}'),
        ("intent", '{"method":"PUT","path":"/networks/vnet","unit":"web-000"}'),
    ]


def test_an_exception_ends_the_operation_as_failed_and_names_itself(db: LandscapeDB) -> None:
    def break_it() -> None:
        raise ValueError("the list was refused")

    with pytest.raises(ValueError, match="refused"), operation(db, START) as doing:
        break_it()
    run = LandscapeReader(db).run(doing.run_id)
    assert (run.status, run.error) == ("failed", "the list was refused")


CHILD = """
import os, sys
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.operations import OperationStart, operation
start = OperationStart("fleet apply", "rg/web", {}, "azure_vm")
with operation(LandscapeDB.from_url(sys.argv[1]), start) as doing, doing.unit("web-000", "create", {}):
    print(doing.run_id, flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


@pytest.fixture
def other(db: LandscapeDB) -> Iterator[subprocess.Popen[str]]:
    """Another process, in the middle of an apply; a line to its input kills it."""
    url = db.engine.url.render_as_string(hide_password=False)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        yield child
        child.kill()


def told(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_one_whose_process_died_is_closed_by_the_next(db: LandscapeDB, other: subprocess.Popen[str]) -> None:
    run_id = told(other)
    other.communicate("die\n")
    with operation(db, START):
        pass
    reader = LandscapeReader(db)
    run = reader.run(run_id)
    assert (run.status, run.error) == ("interrupted", "its process died")
    assert reader.row_lineage(run_id, 0).tokens[0].states[0].status == "running"
    assert clean(db)


def test_those_that_live_are_left_alone_in_this_process_too(
    db: LandscapeDB, other: subprocess.Popen[str]
) -> None:
    run_id = told(other)
    with operation(db, START) as first, operation(db, START) as second:
        second.note("planned", {})
        first.note("planned", {})
        reader = LandscapeReader(db)
        assert {reader.run(one).status for one in (run_id, first.run_id, second.run_id)} == {"running"}
    assert reader.run(first.run_id).status == "completed"
    other.communicate("die\n")


def test_what_was_done_to_a_thing_is_found_by_its_name(db: LandscapeDB) -> None:
    for kind, action in (("fleet apply", "create"), ("fleet destroy", "delete")):
        with operation(db, OperationStart(kind, "rg/web", {}, "azure_vm")) as doing:
            doing.note("planned", {"digest": "d1"})
            for name in ("web_1", "web-1", "webx1"):
                with doing.unit(name, action, {"plan": "d1"}):
                    pass
    deeds = read_deeds(db, "web_1")
    assert [(deed.action, deed.outcome, deed.subject) for deed in deeds] == [
        ("create", "done", "rg/web"),
        ("delete", "done", "rg/web"),
    ]
    assert {deed.facts["name"] for deed in deeds if deed.facts} == {"web_1"}
    assert known_names(db) == ["web_1", "web-1", "webx1"]
    events = read_operation_events(db, ["rg/web"], ["d1"])
    assert [event.kind for event in events] == ["planned", "planned"]
    assert read_deeds(db, "nobody") == read_operation_events(db, [], []) == []


def test_secrets_that_can_be_told_stay_out(tmp_path: Path) -> None:
    db = LandscapeDB.from_url(f"sqlite:///{tmp_path}/landscape.db")
    with operation(db, START) as doing:
        doing.note("planned", {"password": "hunter2hunter2"})
        with doing.unit("web-000", "create", {"client_secret": "hunter2hunter2"}):
            told = {"token": "hunter2hunter2"}
            doing.record_call(ExternalCall(CallType.ARM, "error", told, error="sig=hunter2hunter2"))
    db.close()
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
