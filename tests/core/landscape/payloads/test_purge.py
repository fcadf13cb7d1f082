"""A purge takes contents away and nothing else; proofs hold; what else takes contents away is found."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from elspeth.api.explain import explain
from elspeth.api.export import export
from elspeth.api.purge import parse_age, purge
from elspeth.api.run import run
from elspeth.api.runs import show_run
from elspeth.contracts.errors import LandscapeError, NotFoundError, UsageError
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import take_lease
from elspeth.core.landscape.ledger.verify import verify
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.core.landscape.tables import run_events_table, runs_table

CANARY = "canary-4711"
PIPELINE = """
source: {{plugin: json, options: {{path: in.jsonl}}}}
transforms:
  - name: up
    plugin: value_transform
    options: {{operations: [{{target: more, expression: "row['text'] + '!'"}}]}}
gates:
  - name: size
    condition: "row['id'] > 1"
    routes: {{"true": fork, "false": output}}
    fork_to: [output, other]
sinks:
  output: {{plugin: json, options: {{path: out.jsonl}}}}
  other: {{plugin: json, options: {{path: other.jsonl}}}}
landscape: {{url: "{url}"}}
{more}
"""


BOTH = pytest.mark.parametrize("database_url", ["sqlite_url", "postgres_url"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite, unless a test says otherwise."""
    return str(request.getfixturevalue(getattr(request, "param", "sqlite_url")))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": i, "text": f"{CANARY} " * (1000 if i % 2 else 1)} for i in range(6)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def ran(here: Path, database_url: str) -> Callable[..., str]:
    """Runs the pipeline; gives the run's id."""

    def go(more: str = "") -> str:
        (here / "p.yaml").write_text(PIPELINE.format(url=database_url, more=more), encoding="utf-8")
        return run(here / "p.yaml").run_id

    return go


@pytest.fixture
def db(database_url: str) -> Iterator[LandscapeDB]:
    opened = LandscapeDB.from_url(database_url)
    yield opened
    opened.close()


def changed(db: LandscapeDB) -> list[str]:
    with db.engine.connect() as connection:
        return [f"{found.what} {found.table} {found.key}" for found in verify(connection).all_findings()]


def dump_of(db: LandscapeDB) -> str:
    with db.engine.connect() as connection:
        names = ("runs", "nodes", "traces", "calls", "trace_errors", "path_steps", "run_events")
        return "\n".join(
            str(tuple(row)) for name in names for row in connection.execute(text(f"SELECT * FROM {name}"))
        )


@BOTH
def test_contents_go_and_hashes_stay(
    ran: Callable[..., str], db: LandscapeDB, here: Path, database_url: str
) -> None:
    run_id = ran()
    before = [explain(run_id, row=i, database=database_url).to_dict() for i in range(6)]
    assert list(here.rglob("*.seg"))
    assert CANARY in dump_of(db)
    result = purge(run_id, database=database_url)
    [made] = result.runs
    assert (made.traces, made.segments) == (6, 1)
    assert CANARY not in dump_of(db)
    assert not list(here.rglob("*.seg"))
    assert not list(here.rglob(run_id))
    after = [explain(run_id, row=i, database=database_url).to_dict() for i in range(6)]
    assert all(story["purged_at"] for story in after)
    for old, new in zip(before, after, strict=True):
        assert CANARY not in json.dumps(new)
        assert shape(new) == shape(old)


def shape(story: Any) -> Any:
    """A story without contents."""
    if isinstance(story, dict):
        gone = ("data", "changes", "purged_at")
        return {key: shape(value) for key, value in story.items() if key not in gone}
    return [shape(item) for item in story] if isinstance(story, list) else story


@BOTH
def test_the_proof_holds(ran: Callable[..., str], db: LandscapeDB, database_url: str) -> None:
    run_id = ran()
    call(db, run_id)
    assert changed(db) == []
    purge(run_id, database=database_url)
    assert changed(db) == []
    assert purge(run_id, database=database_url).runs == ()
    assert changed(db) == []


def call(db: LandscapeDB, run_id: str) -> None:
    recorder = LandscapeRecorder(db)
    recorder.record_call(
        f"{run_id}-0-0-1.1", ExternalCall("llm", "success", {"q": CANARY}, {"a": CANARY}), run_id=run_id
    )
    with db.engine.begin() as connection:
        head = db.proof.close(connection, run_id)
    db.proof.publish(head)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE calls SET request = NULL",
        "UPDATE calls SET response = NULL",
        "UPDATE calls SET response = '{}'",
        "UPDATE traces SET payload = NULL WHERE row_no = 0 AND token_no = 0",
        "UPDATE traces SET payload = '!' || payload WHERE row_no = 0 AND token_no = 0",
        "UPDATE traces SET deltas = NULL WHERE row_no = 1 AND token_no = 0",
    ],
)
def test_what_else_takes_contents_away_is_found(
    ran: Callable[..., str], db: LandscapeDB, database_url: str, tampering: str
) -> None:
    run_id = ran()
    call(db, run_id)
    with db.engine.begin() as connection:
        connection.execute(text(tampering))
    assert changed(db)


@BOTH
def test_a_mark_without_a_purge_on_record_is_found(
    ran: Callable[..., str], db: LandscapeDB, database_url: str
) -> None:
    run_id = ran()
    purge(run_id, database=database_url)
    with db.engine.begin() as connection:
        connection.execute(run_events_table.delete())
    found = changed(db)
    assert any("removed run_events" in line for line in found)
    assert any("removed traces" in line for line in found)


def test_calls_lose_their_bodies(ran: Callable[..., str], db: LandscapeDB, database_url: str) -> None:
    run_id = ran()
    call(db, run_id)
    [before] = LandscapeRecorder(db).get_external_calls(f"{run_id}-0-0-1.1")
    [made] = purge(run_id, database=database_url).runs
    assert made.calls == 1
    [after] = LandscapeRecorder(db).get_external_calls(f"{run_id}-0-0-1.1")
    assert (after.request, after.response) == (None, None)
    assert (after.request_hash, after.response_hash) == (before.request_hash, before.response_hash)


def test_the_run_says_so(ran: Callable[..., str], database_url: str) -> None:
    run_id = ran()
    before = show_run(run_id, database_url).to_dict()
    assert (before["reproducibility"], before["purged"]) == ("full", None)
    purge(run_id, database=database_url)
    after = show_run(run_id, database_url).to_dict()
    assert after["reproducibility"] == "attributable"
    assert after["purged"]["traces"] == 6
    assert [event["kind"] for event in after["history"]] == ["purged"]
    new = ("reproducibility", "purged", "history")
    assert {k: v for k, v in after.items() if k not in new} == {
        k: v for k, v in before.items() if k not in new
    }


def test_a_dry_run_changes_nothing(
    ran: Callable[..., str], db: LandscapeDB, here: Path, database_url: str
) -> None:
    run_id = ran()
    before = dump_of(db)
    result = purge(run_id, dry_run=True, vacuum=True, database=database_url)
    assert [made.traces for made in result.runs] == [6]
    assert not result.vacuumed
    assert dump_of(db) == before
    assert list(here.rglob("*.seg"))


@BOTH
def test_age_counts_from_the_end_of_a_run(
    ran: Callable[..., str], db: LandscapeDB, database_url: str
) -> None:
    old, new = ran(), ran()
    age(db, old, 100)
    age(db, new, 80)
    assert [made.run_id for made in purge(older_than="90d", database=database_url).runs] == [old]
    assert purge(new, older_than="90d", database=database_url).runs == ()
    assert [made.run_id for made in purge(older_than=timedelta(days=79), database=database_url).runs] == [new]


def age(db: LandscapeDB, run_id: str, days: int) -> None:
    then = datetime.now(UTC) - timedelta(days=days)
    with db.engine.begin() as connection:
        connection.execute(
            update(runs_table).where(runs_table.c.run_id == run_id).values(started_at=then, completed_at=then)
        )


def test_each_run_goes_by_its_own_retention(
    ran: Callable[..., str], db: LandscapeDB, database_url: str
) -> None:
    kept, short, long = (
        ran(),
        ran("payload_store: {retention_days: 30}"),
        ran("payload_store: {retention_days: 365}"),
    )
    for run_id in (kept, short, long):
        age(db, run_id, 60)
    assert [made.run_id for made in purge(database=database_url).runs] == [short]


def test_a_running_run_is_left_alone(ran: Callable[..., str], db: LandscapeDB, database_url: str) -> None:
    run_id = ran()
    with db.engine.begin() as connection:
        connection.execute(update(runs_table).values(status="running", completed_at=None))
    before = dump_of(db)
    result = purge(older_than="0h", database=database_url)
    assert (result.runs, result.kept) == ((), ((run_id, "it is running"),))
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="is running: nothing of it can be purged"):
            purge(run_id, dry_run=dry_run, database=database_url)
    assert dump_of(db) == before


def test_a_run_that_a_process_works_on_is_left_alone(
    ran: Callable[..., str], db: LandscapeDB, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = ran()
    with db.engine.begin() as connection:
        connection.execute(update(runs_table).values(status="interrupted"))
        monkeypatch.setattr("elspeth.core.landscape.leases.this_process", lambda: "elsewhere:1:2")
        take_lease(connection, 1, datetime.now(UTC))
        monkeypatch.undo()
    before = dump_of(db)
    with pytest.raises(UsageError, match="is at work on this run"):
        purge(run_id, database=database_url)
    assert [why for _, why in purge(older_than="0h", database=database_url).kept]
    assert dump_of(db) == before


def test_a_vacuum_leaves_nothing_in_the_file(here: Path, sqlite_url: str) -> None:
    (here / "p.yaml").write_text(PIPELINE.format(url=sqlite_url, more=""), encoding="utf-8")
    run(here / "p.yaml")
    files = list(here.glob("landscape.db*"))
    assert any(CANARY.encode() in path.read_bytes() for path in files)
    result = purge(older_than="0h", vacuum=True, database=sqlite_url)
    assert result.vacuumed
    assert result.file_bytes_freed is not None
    assert not any(CANARY.encode() in path.read_bytes() for path in here.glob("landscape.db*"))


def test_an_export_of_a_purged_run_has_hashes_and_no_contents(
    ran: Callable[..., str], here: Path, database_url: str
) -> None:
    run_id = ran()
    purge(run_id, database=database_url)
    export(run_id, here / "out", database=database_url)
    rows = [json.loads(line) for line in (here / "out" / "rows.jsonl").read_text("utf-8").splitlines()]
    assert [row["source_data"] for row in rows] == [None] * 6
    assert all(len(row["source_data_hash"]) == 64 for row in rows)
    export(run_id, here / "row.json", format="prov", row=3, database=database_url)
    assert not any(
        CANARY in path.read_text("utf-8") for path in [*(here / "out").iterdir(), here / "row.json"]
    )


def test_a_question_about_contents_finds_nothing(ran: Callable[..., str], database_url: str) -> None:
    run_id = ran()
    purge(run_id, database=database_url)
    with pytest.raises(NotFoundError):
        explain(run_id, where="row['id'] == 3", database=database_url)


def test_a_segment_that_is_gone_stops_an_export_but_not_a_purge(
    ran: Callable[..., str], here: Path, database_url: str
) -> None:
    run_id = ran()
    [segment] = here.rglob("*.seg")
    segment.unlink()
    with pytest.raises(LandscapeError, match="is missing"):
        export(run_id, here / "out", database=database_url)
    assert purge(run_id, database=database_url).runs[0].traces == 6


@pytest.mark.parametrize(("given", "days"), [("90d", 90), ("12h", 0.5), ("2w", 14), ("7y", 2555), ("0d", 0)])
def test_ages(given: str, days: float) -> None:
    assert parse_age(given) == timedelta(days=days)


@pytest.mark.parametrize("given", ["", "d", "90", "-1d", "1.5d", "90 days", "1m"])
def test_what_is_no_age(given: str) -> None:
    with pytest.raises(UsageError, match="is not an age"):
        parse_age(given)
