"""The Azure demo as it stands: a process is killed, and nothing is lost, doubled or different."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from elspeth.testing.azurite import Azurite

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("azurite")
def test_the_demo_proves_what_it_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("out"))
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    done = subprocess.run(
        [sys.executable, "examples/azure/demo.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    right = [line for line in done.stdout.splitlines() if line.startswith("✓")]
    assert [line.partition("  ")[0].rpartition("/")[2] for line in right] == ["paid.csv", "review.jsonl"]
    assert "storage calls are on record, 0 of them failed" in done.stdout
    assert "ROUTED 20,186" in done.stdout
    assert "_blob_etag" in done.stdout
    assert Azurite.connection_string_for("x").partition("AccountKey=")[2][:20] not in done.stdout
    database = (tmp_path / "examples/azure/out/landscape.db").read_bytes()
    assert b"Eby8vdM02xNOcqFlq" not in database
