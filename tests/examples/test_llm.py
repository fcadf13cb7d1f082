"""The demo as it stands: a bad day, on record, and replayed without the model."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_proves_what_it_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/llm", tmp_path / "examples/llm", ignore=shutil.ignore_patterns("out"))
    command = [sys.executable, "examples/llm/demo.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "82 answered" in done.stdout
    assert 'answer: \'{"kind": "civil", "confidence": 0.67}\'' in done.stdout
    assert done.stdout.endswith("the outputs are identical, byte for byte\n")
    lines = (tmp_path / "examples/llm/data/articles.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 42
    assert "41 paragraphs" in (tmp_path / "examples/llm/data/README.md").read_text(encoding="utf-8")
