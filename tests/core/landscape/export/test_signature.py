"""A signed export: what was changed in it afterwards is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from elspeth.api.export import check_export, export
from elspeth.api.run import run
from elspeth.contracts.errors import ElspethError, NotFoundError, UsageError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.heads import SigningKey

RUN = "20261121T021530Z-abcdef"
PIPELINE = """
source: {{plugin: csv, options: {{path: orders.csv}}}}
sinks: {{output: {{plugin: json, options: {{path: out.jsonl}}}}}}
landscape: {{export: {{enabled: true, {export}}}}}
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    made = SigningKey.generate("auditor")
    path = tmp_path / "signing.key"
    path.touch(mode=0o600)
    path.write_text(str(made), encoding="utf-8")
    (tmp_path / "signing.pub").write_text(str(made.verifier), encoding="utf-8")
    return path


@pytest.fixture
def exported(sqlite_url: str, record_orders: Callable[..., Any], tmp_path: Path, key: Path) -> Path:
    db = LandscapeDB.from_url(sqlite_url)
    record_orders(db, RUN)
    db.close()
    export(RUN, tmp_path / "out", database=sqlite_url, signing_key=key)
    return tmp_path / "out"


def test_an_export_that_nobody_touched(exported: Path, key: Path) -> None:
    found = check_export(exported, key.with_suffix(".pub"))
    assert (found.problems, found.signed_by, found.run_id) == ((), "auditor", RUN)
    assert check_export(exported / "manifest.json", key.with_suffix(".pub")).problems == ()


def test_a_file_that_was_changed_or_removed(exported: Path) -> None:
    (exported / "rows.jsonl").write_bytes((exported / "rows.jsonl").read_bytes().replace(b"12.50", b"12.51"))
    (exported / "edges.jsonl").unlink()
    assert check_export(exported).problems == (
        "edges.jsonl is missing",
        "rows.jsonl is not what was exported",
    )


def test_a_manifest_that_was_changed_too(exported: Path, key: Path) -> None:
    manifest = orjson.loads((exported / "manifest.json").read_bytes())
    manifest["records"]["rows"] = 5
    (exported / "manifest.json").write_bytes(orjson.dumps(manifest))
    assert check_export(exported).problems == ()
    public = key.with_suffix(".pub")
    assert check_export(exported, public).problems == ("manifest.json has no signature by auditor",)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"signature": "!"}', b'{"signature": "AAAA"}'])
def test_a_signature_that_is_none(exported: Path, key: Path, content: bytes) -> None:
    (exported / "manifest.json.sig").write_bytes(content)
    assert check_export(exported, key.with_suffix(".pub")).problems


def test_somebody_else_s_signature(exported: Path) -> None:
    other = str(SigningKey.generate("auditor").verifier)
    assert check_export(exported, other).problems


def test_an_unsigned_export_removes_the_old_signature(exported: Path, key: Path, sqlite_url: str) -> None:
    export(RUN, exported, database=sqlite_url)
    assert not (exported / "manifest.json.sig").exists()
    assert check_export(exported, key.with_suffix(".pub")).problems


def test_the_manifest_has_the_tree_head(exported: Path) -> None:
    manifest = orjson.loads((exported / "manifest.json").read_bytes())
    assert manifest["tree_head"].startswith(f"elspeth/run/{RUN}\n")
    assert manifest["payloads"] == "complete"


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no export at"):
        check_export(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(UsageError, match="is not the manifest of an export"):
        check_export(tmp_path)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELSPETH_SIGNING_KEY", raising=False)
    (tmp_path / "orders.csv").write_text("id\n1\n", encoding="utf-8")

    def write(settings: str) -> Path:
        (tmp_path / "p.yaml").write_text(PIPELINE.format(export=settings), encoding="utf-8")
        return tmp_path / "p.yaml"

    return write


def test_signed_after_the_run(
    pipeline: Callable[[str], Path], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSPETH_SIGNING_KEY", str(key))
    run(pipeline("path: audit, format: parquet, sign: true"))
    assert check_export("audit", key.with_suffix(".pub")).problems == ()


@pytest.mark.parametrize(
    ("settings", "what"),
    [("path: audit, sign: true", "no key to sign with"), ("sink: output", "can't be exported to a sink yet")],
)
def test_what_can_t_be_done_is_refused_before_the_run(
    pipeline: Callable[[str], Path], tmp_path: Path, settings: str, what: str
) -> None:
    with pytest.raises(ElspethError, match=what):
        run(pipeline(settings))
    assert not (tmp_path / "out.jsonl").exists()
