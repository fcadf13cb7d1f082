"""``elspeth verify``, ``prove`` and ``keys new``, on the record of a real run."""

import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

PIPELINE = """
source: {plugin: csv, options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "amount: float"]}}}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": fork, "false": out}
    fork_to: [out, review]
sinks:
  out: {plugin: csv, options: {path: out.csv}}
  review: {plugin: csv, options: {path: review.csv}}
landscape: {url: "sqlite:///audit.db", anchor: heads.jsonl, signing_key: keys/elspeth-signing.key}
"""
AUDIT = ("--database", "sqlite:///audit.db")
KEY = ("--key", "keys/elspeth-signing.pub")


@pytest.fixture
def run_id(here: Path, cli: Cli) -> str:
    """A signed, anchored run over three rows: small, large, and one that is quarantined."""
    (here / "in.csv").write_text("id,amount\n1,5\n2,2000\n3,many\n")
    (here / "pipeline.yaml").write_text(PIPELINE)
    assert cli("keys", "new", "--out", "keys", "--name", "audit").code == 0
    said = cli("run", "pipeline.yaml", "--json")
    assert said.code == 1  # one row was quarantined
    return str(said.json["run_id"])


def change(statement: str) -> None:
    connection = sqlite3.connect("audit.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_key_pair_is_made(cli: Cli, here: Path) -> None:
    said = cli("keys", "new")
    assert said.code == 0
    assert said.out.splitlines()[:2] == [
        "made elspeth-signing.key (keep it secret)", "made elspeth-signing.pub"
    ]  # fmt: skip
    assert stat.S_IMODE((here / "elspeth-signing.key").stat().st_mode) == 0o600
    assert (here / "elspeth-signing.pub").read_text().strip() == said.out.splitlines()[2]
    again = cli("keys", "new")
    assert again.code == 2
    assert "there is a key at elspeth-signing.key: it is not written over" in again.err


def test_a_key_has_a_name_without_spaces(cli: Cli, here: Path) -> None:
    said = cli("keys", "new", "--name", "two words")
    assert said.code == 2
    assert "a key can't be called 'two words'" in said.err
    assert list(here.iterdir()) == []


def test_a_record_that_nobody_touched_holds(cli: Cli, run_id: str) -> None:
    for arguments in ((), ("--all",), ("latest",), (run_id,)):
        said = cli("verify", *arguments, *AUDIT, *KEY, "--anchor", "heads.jsonl")
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"✓ run {run_id}: 5 tokens, ")
        assert said.out.endswith("signed\nnothing was changed\n")
    found = cli("verify", *AUDIT, "--json").json
    assert found["ok"]
    assert found["runs"][0]["signed_heads"] == found["runs"][0]["heads"]
    assert found["notes"] == ["signatures were not checked: give the public key (--key)"]


def test_what_was_changed_is_named(cli: Cli, run_id: str) -> None:
    change("UPDATE traces SET payload = '[1,6.0]' WHERE row_no = 0")
    change("DELETE FROM trace_errors")
    said = cli("verify", *AUDIT)
    assert said.code == 1
    lines = said.out.splitlines()
    where = f"(run {run_id})"
    assert f"✗ changed: traces row_no=0 token_no=0 {where}: is not what its leaf was made of" in lines
    removed = "trace_errors row_no=2 token_no=0 step_index=0 attempt=1"
    assert f"✗ removed: {removed} {where}: has a leaf, but is not on record" in lines
    found = cli("verify", *AUDIT, "--json")
    assert found.code == 1
    assert {each["table"] for each in found.json["runs"][0]["findings"]} == {"traces", "trace_errors"}


def test_another_key_has_not_signed(cli: Cli, run_id: str) -> None:
    cli("keys", "new", "--out", "other", "--name", "other")
    said = cli("verify", run_id, *AUDIT, "--key", "other/elspeth-signing.pub")
    assert said.code == 1
    assert "its signature is not by this key (other)" in said.out


def test_a_proof_needs_no_database(cli: Cli, run_id: str, here: Path) -> None:
    said = cli("prove", "latest", "--row", "1", "-o", "proof.txt", *AUDIT)
    assert said.code == 0
    assert said.out.startswith(
        f"wrote proof.txt: row 1 of run {run_id}\n  1 run, 3 trace, 3 path, under a head"
    )
    (here / "audit.db").unlink()
    checked = cli("verify", "proof.txt", *KEY, "--anchor", "heads.jsonl", "--run", run_id)
    assert checked.code == 0
    assert checked.out.startswith(f"✓ 7 records of run {run_id}, under a head of ")
    assert "✓ the head is signed by audit\n" in checked.out
    found = cli("verify", "proof.txt", *KEY, "--json").json
    assert (found["ok"], found["run_id"], found["signed_by"]) == (True, run_id, "audit")
    trace = next(each for each in found["records"] if each["kind"] == "trace")
    assert (trace["row_no"], trace["payload"]) == (1, "[2,2000.0]")


def test_a_proof_of_another_run_is_told(cli: Cli, run_id: str) -> None:
    cli("prove", run_id, "--row", "0", "-o", "proof.txt", *AUDIT)
    said = cli("verify", "proof.txt", *KEY, "--run", "20260101T000000Z-other2")
    assert said.code == 1
    assert f"✗ it is of run {run_id}, not of run 20260101T000000Z-other2\n" in said.out


@pytest.mark.usefixtures("run_id")
def test_proofs_that_are_not_whole_are_refused(cli: Cli, here: Path) -> None:
    cli("prove", "--row", "0", "-o", "proof.txt", *AUDIT)
    whole = (here / "proof.txt").read_text()
    (here / "proof.txt").write_text(whole[: len(whole) // 2])
    said = cli("verify", "proof.txt")
    assert said.code == 2
    assert "of the proof is not whole" in said.err
    (here / "proof.txt").write_bytes(b"\xff\xfe")
    assert cli("verify", "proof.txt").code == 2
    assert "there is no proof at none.txt" in cli("verify", "none.txt").err


@pytest.mark.usefixtures("run_id")
def test_proofs_are_printed_too(cli: Cli) -> None:
    said = cli("prove", "--row", "0", *AUDIT)
    assert said.out.startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert cli("prove", "--row", "0", "--json", *AUDIT).json["proof"] == said.out


@pytest.mark.usefixtures("run_id")
def test_a_row_that_is_not_there_is_told(cli: Cli) -> None:
    said = cli("prove", "--row", "99", *AUDIT)
    assert said.code == 2
    assert "has no row 99 on record" in said.err
    assert "is no row of run" in cli("prove", "--row", "somebody", *AUDIT).err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("latest", "--all"), "--all is the whole database, not one run or proof"),
        (("--run", "r-1"), "--run says of which run a proof must be"),
        (("--key", "none.pub"), "there is no key at none.pub"),
        (("--anchor", "none.jsonl"), "there is no anchor file at none.jsonl"),
        (("20260101T000000Z-other2",), "there is no run '20260101T000000Z-other2'"),
    ],
)
@pytest.mark.usefixtures("run_id")
def test_what_can_not_be_checked_is_told(cli: Cli, arguments: tuple[str, ...], what: str) -> None:
    said = cli("verify", *arguments, *AUDIT)
    assert said.code == 2
    assert what in said.err


def test_no_landscape_no_verification(cli: Cli, here: Path) -> None:
    said = cli("verify")
    assert said.code == 2
    assert "there is no landscape at .elspeth/landscape.db" in said.err
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("run_id")
def test_a_key_that_others_may_read_stops_a_run_before_it_begins(cli: Cli, here: Path) -> None:
    before = (here / "audit.db").stat().st_mtime_ns
    (here / "keys" / "elspeth-signing.key").chmod(0o644)
    said = cli("run", "pipeline.yaml")
    assert said.code == 2
    assert "the signing key keys/elspeth-signing.key can be read by others (mode 0644)" in said.err
    assert (here / "audit.db").stat().st_mtime_ns == before


def test_a_key_from_the_environment_signs_too(
    cli: Cli, here: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "pipeline.yaml").write_text(PIPELINE.replace(", signing_key: keys/elspeth-signing.key", ""))
    monkeypatch.setenv("ELSPETH_SIGNING_KEY", "keys/elspeth-signing.key")
    cli("run", "pipeline.yaml")
    said = cli("verify", *AUDIT, *KEY, "--anchor", "heads.jsonl")
    assert said.code == 0
    assert len(said.out.splitlines()) == 3


@pytest.mark.usefixtures("run_id")
def test_a_torn_write_ahead_log_is_shown_up_by_the_anchors(cli: Cli, here: Path) -> None:
    """SQLite passes over what is torn: the database is whole, but not what it was."""
    shutil.copy(here / "audit.db", here / "torn.db")
    keep = sqlite3.connect(here / "torn.db")
    keep.execute("PRAGMA wal_autocheckpoint=0")
    keep.execute("SELECT count(*) FROM runs").fetchone()
    (here / "pipeline.yaml").write_text(PIPELINE.replace("audit.db", "torn.db"))
    cli("run", "pipeline.yaml")
    for name in ("torn.db", "torn.db-wal"):
        shutil.copy(here / name, here / name.replace("torn", "after"))
    keep.close()
    whole = (here / "after.db-wal").read_bytes()
    torn = ("verify", "--database", "sqlite:///after.db", "--anchor", "heads.jsonl")
    (here / "after.db-wal").write_bytes(whole[: len(whole) // 4])
    said = cli(*torn)
    assert said.code == 1
    assert "this head was anchored, and is not on record as it was" in said.out


@pytest.mark.usefixtures("run_id")
def test_a_damaged_file_is_a_finding(cli: Cli, here: Path) -> None:
    data = bytearray((here / "audit.db").read_bytes())
    data[4096:8192] = bytes(4096)
    (here / "audit.db").write_bytes(data)
    said = cli("verify", *AUDIT)
    assert said.code == 1
    assert "✗ damaged: database" in said.out


@pytest.mark.usefixtures("run_id")
def test_a_database_of_a_newer_version_is_refused(cli: Cli) -> None:
    change("UPDATE alembic_version SET version_num = '0999'")
    said = cli("verify", *AUDIT)
    assert said.code == 2
    assert "has landscape version 0999, this release needs" in said.err
    assert "fix: nothing was changed; use the release that wrote it" in said.err
