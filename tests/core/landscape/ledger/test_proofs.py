"""A row's proof: made from the database, checked without it."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from elspeth.contracts.errors import LandscapeError, NotFoundError
from elspeth.core.landscape.ledger.heads import SigningKey, parse_note
from elspeth.core.landscape.ledger.proofs import (
    ProofUnreadableError,
    RowProof,
    check_proof,
    parse_proof,
)
from elspeth.core.landscape.ledger.proving import prove_row
from elspeth.core.landscape.ledger.records import find_run

FIRST, SECOND = "20261121T021530Z-first2", "20261121T031530Z-second"


def proof_of(sealed: Any, row_no: int, run_id: str = FIRST) -> RowProof:
    with sealed.db.engine.connect() as connection:
        run = find_run(connection, "run_id", run_id)
        assert run is not None
        return prove_row(connection, run, row_no)


@pytest.mark.parametrize(
    ("row_no", "kinds"),
    [
        (0, ["run", "trace", "path", "batch_token", "call", "call", "assignment"]),
        (2, ["run", "trace", "trace", "trace", "path", "path", "path", "join", "join", "assignment"]),
        (3, ["run", "trace", "path", "error"]),
        (5, ["run", "trace", "trace", "trace", "path", "path", "path", "variant", "variant"]),
    ],
)
def test_a_proof_holds_all_records_of_the_row(sealed: Any, row_no: int, kinds: list[str]) -> None:
    proof = proof_of(sealed, row_no)
    assert sorted(record.kind for record in proof.records if record.kind != "batch_token") == sorted(
        kind for kind in kinds if kind != "batch_token"
    )
    report = check_proof(parse_proof(proof.to_text()))
    assert report.ok
    assert report.run_id == FIRST


def test_a_proof_reads_back_as_it_was_written(sealed: Any) -> None:
    for row_no in range(6):
        proof = proof_of(sealed, row_no)
        again = parse_proof(proof.to_text())
        assert again.note == proof.note
        assert [(r.kind, list(r.values), r.index) for r in again.records] == [
            (r.kind, list(r.values), r.index) for r in proof.records
        ]


def test_each_part_is_a_tlog_proof(sealed: Any) -> None:
    part = proof_of(sealed, 3).to_text().split("c2sp.org/tlog-proof@v1\n")[1]
    lines = part.split("\n")
    assert lines[0].startswith("extra ")
    assert lines[1].startswith("index ")
    assert (
        parse_note(part.partition("\n\n")[2].removesuffix("\n\n").removesuffix("\n") + "\n").run_id == FIRST
    )


def test_a_row_that_is_not_there_has_no_proof(sealed_sqlite: Any) -> None:
    with pytest.raises(NotFoundError, match="has no row 77 on record that has ended"):
        proof_of(sealed_sqlite, 77)


def test_a_record_that_was_changed_can_not_be_proved(sealed_sqlite: Any) -> None:
    sealed_sqlite.change("UPDATE traces SET t0 = t0 + 1 WHERE run_no = 1 AND row_no = 3")
    with pytest.raises(LandscapeError, match="is not what its leaf was made of") as raised:
        proof_of(sealed_sqlite, 3)
    assert "elspeth verify" in raised.value.fix


def test_any_changed_letter_is_noticed(sealed_sqlite: Any) -> None:
    whole = proof_of(sealed_sqlite, 3).to_text()
    for place in range(0, len(whole), 37):
        letter = whole[place]
        changed = whole[:place] + ("A" if letter != "A" else "B") + whole[place + 1 :]
        with contextlib.suppress(ProofUnreadableError):
            assert not check_proof(parse_proof(changed), anchored=[parse_note(proof_note(whole))]).ok, place


def proof_note(whole: str) -> str:
    return parse_proof(whole).note


@pytest.mark.parametrize("cut", [0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_proof_says_so(sealed_sqlite: Any, cut: float) -> None:
    whole = proof_of(sealed_sqlite, 3).to_text()
    with pytest.raises(ProofUnreadableError, match=r"is not whole|different heads"):
        parse_proof(whole[: int(cut * len(whole))])


@pytest.mark.parametrize("wrong", ["", "hello\n", "c2sp.org/tlog-proof@v2\nindex 1\n"])
def test_what_is_no_proof_is_refused(wrong: str) -> None:
    with pytest.raises(ProofUnreadableError, match="this is no proof"):
        parse_proof(wrong)


def test_parts_of_two_runs_make_no_proof(sealed_sqlite: Any) -> None:
    one, other = proof_of(sealed_sqlite, 3).to_text(), proof_of(sealed_sqlite, 3, SECOND).to_text()
    with pytest.raises(ProofUnreadableError, match="under 2 different heads"):
        parse_proof(f"{one}\n{other}")


def test_a_record_of_another_run_does_not_fit_under_this_ones_head(sealed_sqlite: Any) -> None:
    one, other = proof_of(sealed_sqlite, 3), proof_of(sealed_sqlite, 3, SECOND)
    mixed = RowProof((*one.records[:1], *other.records[1:]), one.note)
    problems = check_proof(mixed).problems
    assert "trace: it is of another run than 20261121T021530Z-first2" in problems
    assert any("it is not in the tree that the head is of" in problem for problem in problems)
    lone = RowProof(one.records[1:], one.note)
    assert check_proof(lone).problems == (f"it holds no record of the run {FIRST} that its head is of",)


def test_a_proof_must_bear_the_signature(sealed_sqlite: Any) -> None:
    proof = proof_of(sealed_sqlite, 0)
    key = SigningKey.generate("k").verifier
    assert check_proof(proof).notes == (
        "the head is not signed: it proves nothing unless it was anchored (--anchor)",
    )
    assert check_proof(proof, key).problems == ("the head: it is not signed, so not by the key k",)


def test_a_proof_must_be_under_an_anchored_head(sealed_sqlite: Any) -> None:
    proof = proof_of(sealed_sqlite, 0)
    assert check_proof(proof, anchored=[proof.head]).ok
    other = replace(proof.head, size=proof.head.size + 1)
    assert check_proof(proof, anchored=[other]).problems == ("the head is not in the anchor file",)


def test_signed_and_anchored_heads_are_checked(sealed_sqlite: Any, record_everything: Any) -> None:
    key = SigningKey.generate("k")
    sealed_sqlite.db.proof.key = key
    record_everything(sealed_sqlite.db, "20261121T041530Z-third2")
    notes = [parse_note(note) for note in _notes(sealed_sqlite)]
    third = "20261121T041530Z-third2"
    assert sealed_sqlite.check(third, key.verifier, notes).ok
    # The first two were written before there was a key.
    unsigned = sealed_sqlite.check(None, key.verifier).all_findings()
    assert {(each.run_id, each.what) for each in unsigned} == {(FIRST, "unsigned"), (SECOND, "unsigned")}
    other = sealed_sqlite.check(third, SigningKey.generate("k").verifier)
    assert "its signature is not by this key" in other.all_findings()[0].why
    assert check_proof(proof_of(sealed_sqlite, 0, third), key.verifier).signed_by == "k"


def _notes(sealed: Any) -> list[str]:
    with sealed.db.engine.connect() as connection:
        return list(
            connection.execute(text("SELECT note FROM tree_heads ORDER BY run_no, head_no")).scalars()
        )


def test_a_database_that_was_cut_back_is_shown_up_by_its_anchors(sealed_sqlite: Any) -> None:
    anchored = [parse_note(note) for note in _notes(sealed_sqlite)]
    tables = ("traces", "paths", "path_steps", "path_events", "trace_errors", "trace_joins", "batch_tokens",
              "run_events", "tree_heads", "checkpoints", "experiment_totals", "experiment_variants",
              "experiment_readings")  # fmt: skip
    named = ("nodes", "edges", "artifacts", "batches", "calls", "assignments", "runs")
    sealed_sqlite.change(
        *(f"DELETE FROM {table} WHERE run_no = 2" for table in tables),
        *(f"DELETE FROM {table} WHERE run_id = '{SECOND}'" for table in named),
    )
    assert sealed_sqlite.check().ok  # nothing inside can show it
    found = sealed_sqlite.check(anchored=anchored).all_findings()
    assert {(each.run_id, each.what) for each in found} == {(SECOND, "removed")}
    assert len(found) == 3
