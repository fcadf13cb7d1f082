"""The benchmark runs, and what it reports is what it measured: no figures are asserted here."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_benchmark_runs_from_end_to_end(tmp_path: Path) -> None:
    options = ["--quick", "--rows", "500", "--no-postgres", "--work", str(tmp_path)]
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_pipeline.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name in ("plain loop", "elspeth, SQLite", "elspeth, fork to two paths"):
        assert [line for line in lines if line.startswith(f"| {name} | 500 |")]
    assert "database bytes per row" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_proof_and_resume_cost_is_measured(tmp_path: Path) -> None:
    options = ["--quick", "--rows", "500", "--resume-rows", "20000", "--work", str(tmp_path)]
    command = [sys.executable, str(ROOT / "benchmarks" / "bench_proof.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for what in ("checkpoints and proof: CPU", "verification, tokens per CPU-second", "back at work after"):
        assert what in done.stdout


@pytest.mark.parametrize("name", ["bench", "bench-proof", "bench-llm", "bench-azure", "bench-experiments"])
def test_the_page_has_a_place_for_the_figures(name: str) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert page.count(f"<!-- {name}:begin -->") == page.count(f"<!-- {name}:end -->") == 1


def test_what_experiments_cost_is_measured(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "bench_experiments.py"),
        "--quick",
        "--work",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for what in ("from a unit to its variant", "`status`, 2,000 rows", "`status`, 20,000 rows"):
        assert f"| {what} |" in done.stdout
    assert list(tmp_path.iterdir()) == []
