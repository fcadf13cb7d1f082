"""Whatever is changed behind the landscape's back is named; what is not, is not."""
# ruff: noqa: E501  # statements read better in their own lines

from typing import Any

import pytest
from sqlalchemy import text

from elspeth.contracts.enums import CallStatus, CallType, RunStatus
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.findings import Finding
from elspeth.core.landscape.ledger.records import KINDS
from elspeth.core.landscape.recorder import LandscapeRecorder, RunStart
from elspeth.core.landscape.tables import metadata

FIRST, SECOND = "20261121T021530Z-first2", "20261121T031530Z-second"


def test_a_landscape_that_nobody_touched_holds(sealed: Any) -> None:
    report = sealed.check()
    assert report.all_findings() == []
    assert report.ok
    assert [(run.run_id, run.tokens, run.heads) for run in report.runs] == [(FIRST, 12, 3), (SECOND, 12, 3)]
    assert all(run.leaves > 50 for run in report.runs)


def test_every_kind_of_record_is_in_the_tree(sealed: Any) -> None:
    from elspeth.core.landscape.ledger.index import unpack  # noqa: PLC0415

    with sealed.db.engine.connect() as connection:
        packed = connection.execute(text("SELECT leaf_keys FROM tree_heads")).scalars().all()
    kinds = {section.kind for each in packed for section in unpack(bytes(each))}
    assert kinds == {*KINDS, "schema", "previous", "checkpoint"}  # waiting tokens: see test_state


def test_every_table_is_a_record_or_known_to_be_none() -> None:
    state = {"checkpoints", "waiting_tokens", "run_leases", "experiment_stats"}
    parts = {"path_steps", "path_events", "tree_heads", "tree_schemas"}
    assert set(metadata.tables) == {kind.table.name for kind in KINDS.values()} | state | parts


CHANGES = [
    ("UPDATE traces SET payload = replace(payload, '12.50', '12.51') WHERE run_no = 1 AND row_no = 0",
     ("traces", "row_no=0 token_no=0", "changed")),
    ("UPDATE traces SET deltas = NULL WHERE run_no = 1 AND row_no = 0", ("traces", "row_no=0 token_no=0", "changed")),
    ("UPDATE traces SET t0 = t0 + 1 WHERE run_no = 2 AND row_no = 5 AND token_no = 2",
     ("traces", "row_no=5 token_no=2", "changed")),
    ("UPDATE traces SET path_no = 0 WHERE run_no = 1 AND row_no = 1 AND token_no = 1",
     ("traces", "row_no=1 token_no=1", "changed")),
    ("UPDATE traces SET assigned = '[[0,\"c5\",12,35]]' WHERE run_no = 1 AND row_no = 5 AND token_no = 0",
     ("traces", "row_no=5 token_no=0", "changed")),
    ("UPDATE traces SET assigned = NULL WHERE run_no = 1 AND row_no = 5 AND token_no = 2",
     ("traces", "row_no=5 token_no=2", "changed")),
    ("UPDATE experiment_variants SET variant_id = 'b' WHERE run_no = 1 AND variant_no = 0",
     ("experiment_variants", "variant_no=0", "changed")),
    ("DELETE FROM traces WHERE run_no = 1 AND row_no = 3", ("traces", "row_no=3 token_no=0", "removed")),
    ("INSERT INTO traces SELECT run_no, 99, token_no, path_no, parent_no, t0, times, hashes, payload, deltas,"
     " row_alias, token_alias, assigned FROM traces WHERE run_no = 1 AND row_no = 0", ("traces", "row_no=99 token_no=0", "added")),
    ("UPDATE paths SET sink_node_id = 'review' WHERE run_no = 1 AND path_no = 0", ("paths", "path_no=0", "changed")),
    ("DELETE FROM path_steps WHERE run_no = 1 AND path_no = 1 AND ordinal = 0", ("paths", "path_no=1", "changed")),
    ("UPDATE path_events SET reason = '{}' WHERE run_no = 1 AND path_no = 1", ("paths", "path_no=1", "changed")),
    ("DELETE FROM trace_errors WHERE run_no = 1 AND row_no = 3",
     ("trace_errors", "row_no=3 token_no=0 step_index=0 attempt=1", "removed")),
    (f"UPDATE calls SET latency_ms = 1.5 WHERE call_id = '{FIRST}-0-0-0.1-call-1'",
     ("calls", f"call_id={FIRST}-0-0-0.1-call-1", "changed")),
    (f"UPDATE calls SET cost = 0.5 WHERE call_id = '{FIRST}-0-0-0.1-call-1'",
     ("calls", f"call_id={FIRST}-0-0-0.1-call-1", "changed")),
    ("UPDATE batch_tokens SET row_no = 4 WHERE run_no = 1 AND role = 'in'",
     ("batch_tokens", "batch_no=0 role=in ordinal=0", "changed")),
    ("DELETE FROM batches WHERE run_no = 2", ("batches", "batch_no=0", "removed")),
    ("DELETE FROM trace_joins WHERE run_no = 1 AND ordinal = 1",
     ("trace_joins", "row_no=2 token_no=0 ordinal=1", "removed")),
    ("UPDATE run_events SET kind = 'nothing' WHERE run_no = 1", ("run_events", "ordinal=0", "changed")),
    (f"UPDATE artifacts SET content_hash = NULL WHERE run_id = '{FIRST}'",
     ("artifacts", f"artifact_id={FIRST}-a0", "changed")),
    (f"DELETE FROM artifacts WHERE run_id = '{FIRST}'", ("artifacts", f"artifact_id={FIRST}-a0", "removed")),
    (f"UPDATE nodes SET config_json = '[]' WHERE run_id = '{FIRST}' AND node_id = 'tidy'",
     ("nodes", "node_id=tidy", "changed")),
    (f"UPDATE edges SET label = 'maybe' WHERE edge_id = '{FIRST}/large/false/approved'",
     ("edges", f"edge_id={FIRST}/large/false/approved", "changed")),
    ("UPDATE runs SET status = 'completed' WHERE run_no = 1", ("runs", "run_no=1", "changed")),
    ("UPDATE runs SET status = 'running', completed_at = NULL WHERE run_no = 1", ("runs", "run_no=1", "changed")),
    ("UPDATE tree_heads SET leaf_tags = blocks WHERE run_no = 1 AND head_no = 0", ("tree_heads", "head_no=0", "changed")),
    ("UPDATE tree_heads SET frontier = leaf_tags WHERE run_no = 1 AND head_no = 1",
     ("tree_heads", "head_no=1", "changed")),
    ("UPDATE tree_heads SET note = replace(note, 'elspeth', 'Elspeth') WHERE run_no = 1 AND head_no = 1",
     ("tree_heads", "head_no=1", "changed")),
    ("UPDATE tree_heads SET last_row = 77 WHERE run_no = 1 AND head_no = 0", ("tree_heads", "head_no=0", "changed")),
    ("DELETE FROM tree_heads WHERE run_no = 1 AND head_no = 1", ("tree_heads", "head_no=1", "removed")),
    ("DELETE FROM tree_heads WHERE run_no = 1", ("tree_heads", "all", "removed")),
    ("DELETE FROM tree_schemas", None),
    ("UPDATE tree_schemas SET ddl = '{}'", None),
    ("INSERT INTO tree_schemas VALUES ('x', 'y')", ("tree_schemas", "schema_hash=x", "changed")),
    ("INSERT INTO alembic_version VALUES ('0007')", ("schema", "version", "changed")),
    ("DROP VIEW token_outcomes", ("schema", "view token_outcomes", "removed")),
    ("CREATE VIEW better AS SELECT 1 AS one", ("schema", "view better", "added")),
    ("CREATE INDEX mine ON traces (t0)", ("schema", "index mine", "added")),
    ("DROP INDEX ix_exp_assignments_variant", ("schema", "index ix_exp_assignments_variant", "removed")),
    ("ALTER TABLE runs ADD COLUMN comment TEXT", None),
    ("UPDATE traces SET run_no = 9 WHERE run_no = 1 AND row_no = 0", ("traces", "run_no=9", "added")),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), CHANGES)
def test_a_change_is_named(sealed_sqlite: Any, statement: str, expected: tuple[str, str, str] | None) -> None:
    sealed_sqlite.change(statement)
    found = sealed_sqlite.named()
    assert found
    assert expected is None or expected in found
    # The other run is not blamed for what was done to this one.
    blamed = {each.run_id for each in sealed_sqlite.check().all_findings()} - {""}
    assert len(blamed) <= 1 or "tree_" in statement or "ALTER" in statement


def test_changes_are_named_on_postgresql_too(sealed_postgres: Any) -> None:
    """One after the other in one database: each is named beside those before it."""
    expected = set()
    for statement, finding in CHANGES:
        if finding is None or finding[0] in ("tree_heads", "runs") or "run_no = 9" in statement:
            continue
        if not statement.startswith("UPDATE artifacts"):  # a later change takes that record away
            sealed_postgres.change(statement)
            expected.add(finding)
    assert len(expected) >= 20
    assert expected - sealed_postgres.named() == set()


def test_only_what_was_changed_is_named(sealed: Any) -> None:
    sealed.change("UPDATE traces SET times = '[]' WHERE run_no = 1 AND row_no = 1 AND token_no = 2")
    assert sealed.check().all_findings() == [
        Finding("traces", "row_no=1 token_no=2", "changed", "is not what its leaf was made of", FIRST)
    ]


def test_records_that_trade_places_are_both_named(sealed: Any) -> None:
    sealed.change(
        "UPDATE traces SET row_no = 1000 WHERE run_no = 1 AND row_no = 0",
        "UPDATE traces SET row_no = 0 WHERE run_no = 1 AND row_no = 3",
        "UPDATE traces SET row_no = 3 WHERE run_no = 1 AND row_no = 1000",
    )
    assert sealed.named() == {
        ("traces", "row_no=0 token_no=0", "changed"), ("traces", "row_no=3 token_no=0", "changed")
    }  # fmt: skip


def test_leaves_in_another_order_are_called_so(sealed: Any) -> None:
    from elspeth.core.landscape.ledger.index import Section, pack, unpack  # noqa: PLC0415

    with sealed.db.engine.begin() as connection:
        where = "WHERE run_no = 1 AND head_no = 0"
        sections = unpack(
            bytes(connection.execute(text(f"SELECT leaf_keys FROM tree_heads {where}")).scalar())
        )
        turned = [
            Section.of(each.kind, list(each.keys())[::-1]) if each.kind == "trace" else each
            for each in sections
        ]
        connection.execute(text(f"UPDATE tree_heads SET leaf_keys = :keys {where}"), {"keys": pack(turned)})
    assert sealed.named() == {("tree_heads", "head_no=0", "reordered")}


def test_a_run_that_is_gone_is_missed_by_the_next(sealed: Any) -> None:
    tables = ("traces", "paths", "path_steps", "path_events", "trace_errors", "trace_joins", "batch_tokens",
              "run_events", "experiment_variants", "experiment_readings", "experiment_totals", "tree_heads",
              "checkpoints")  # fmt: skip
    named = ("nodes", "edges", "artifacts", "batches", "calls", "assignments", "runs")
    sealed.change(
        *(f"DELETE FROM {table} WHERE run_no = 1" for table in tables),
        *(f"DELETE FROM {table} WHERE run_id = '{FIRST}'" for table in named),
    )
    assert sealed.named() == {("tree_heads", f"run {FIRST} head_no=2", "removed")}


def test_one_run_can_be_checked_by_itself(sealed: Any) -> None:
    sealed.change("DELETE FROM traces WHERE run_no = 1 AND row_no = 3")
    assert not sealed.check(FIRST).ok
    assert sealed.check(SECOND).ok


def test_a_trigger_is_found(sealed: Any) -> None:
    if sealed.db.engine.dialect.name == "sqlite":
        sealed.change(
            "CREATE TRIGGER liar AFTER INSERT ON traces BEGIN DELETE FROM traces WHERE row_no = 1; END"
        )
        assert sealed.named() == {("schema", "trigger liar", "added")}
        return
    sealed.change(
        "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER liar BEFORE INSERT ON traces FOR EACH ROW EXECUTE FUNCTION lie()",
    )
    assert sealed.named() == {("schema", "trigger traces.liar", "added")}


def test_a_table_of_somebody_else_is_no_finding(sealed: Any) -> None:
    sealed.change("CREATE TABLE results (id INTEGER PRIMARY KEY, x TEXT)", "CREATE INDEX mine ON results (x)")
    assert sealed.check().ok


def test_a_type_that_only_sqlite_lets_through_is_found(sealed_sqlite: Any) -> None:
    sealed_sqlite.change(
        "UPDATE traces SET hashes = CAST(hashes AS TEXT) WHERE run_no = 1 AND row_no = 5",
        "UPDATE runs SET started_at = replace(started_at, ' ', 'T') WHERE run_no = 2",
    )
    assert sealed_sqlite.named() >= {
        ("traces", "row_no=5 token_no=0", "changed"), ("runs", "run_no=2", "changed")
    }  # fmt: skip


def test_a_run_that_was_written_record_by_record_is_sealed_at_its_end(landscape: LandscapeDB) -> None:
    recorder = LandscapeRecorder(landscape)
    recorder.begin_run(RunStart("run-1", {}, "h"))
    row = recorder.create_row("run-1", "orders", 0, {"x": 1})
    recorder.fork_token(row.token_id, ["a", "b"])
    sealed = _sealed(landscape)
    assert sealed.runs[0].notes == ["no leaves yet: nothing of this run is proved"]
    assert sealed.ok
    recorder.finish_run("run-1", RunStatus.COMPLETED)
    assert not _sealed(landscape).ok  # two tokens are open in a run that says it is complete


def _sealed(db: LandscapeDB) -> Any:
    from elspeth.core.landscape.ledger.verify import verify  # noqa: PLC0415

    with db.engine.connect() as connection:
        return verify(connection)


def test_a_resumed_run_states_its_end_again(sealed: Any) -> None:
    recorder = LandscapeRecorder(sealed.db)
    recorder.reopen_run(1, "resumed", {})
    report = sealed.check(FIRST)
    assert report.ok
    assert "it is going on again; that is no leaf yet" in report.runs[0].notes
    recorder.finish_run(FIRST, RunStatus.COMPLETED)
    assert sealed.check().ok
    sealed.change("UPDATE runs SET status = 'failed' WHERE run_no = 1")
    assert sealed.named() == {("runs", "run_no=1", "changed")}


def test_a_call_that_was_found_and_then_noted_is_one_leaf(landscape: LandscapeDB, record_orders: Any) -> None:
    """The journal's thread may note a call only after the commit of a group has come upon it."""
    recorder = LandscapeRecorder(landscape)
    call = ExternalCall(CallType.HTTP, CallStatus.SUCCESS, {"q": 1})
    recorder.record_call(f"{FIRST}-0-0-0.1", call, run_id=FIRST)
    run = record_orders(landscape, FIRST)
    landscape.proof.note(FIRST, "call", (f"{FIRST}-0-0-0.1-call-0",))
    run.traces.clear()
    run.errors.clear()
    run.commit()
    recorder.finish_run(FIRST, RunStatus.COMPLETED)
    assert _sealed(landscape).all_findings() == []


def test_the_end_of_an_unknown_run_makes_no_head(landscape: LandscapeDB) -> None:
    LandscapeRecorder(landscape).finish_run("nobody", RunStatus.COMPLETED)
    assert _sealed(landscape).runs == []
    assert _sealed(landscape).ok
