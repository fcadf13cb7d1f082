"""The benchmark of language models runs; no figures are asserted here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_benchmark_runs_from_end_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks/bench_llm.py"),
        "--quick",
        "--work",
        str(tmp_path / "w"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2].startswith("| 60 rows, pool 20, 20 ms |")
    assert lines[3].split("|")[6].strip() == "20"
    assert list(tmp_path.iterdir()) == []
