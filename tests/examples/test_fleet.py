"""The fleet demo as it stands: it ends as its story says, and leaves nothing behind."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from elspeth.cli.main import main
from elspeth.testing.arm import client_here

ROOT = Path(__file__).resolve().parents[2]


def demo_in(folder: Path) -> Path:
    shutil.copytree(ROOT / "examples/fleet", folder / "examples/fleet", ignore=shutil.ignore_patterns("out"))
    return folder / "examples/fleet/demo.py"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fleet_demo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_ends_as_its_story_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = loaded(demo_in(tmp_path))
    told = []

    def elspeth(*words: str, expect: int = 0) -> str:
        """The same commands, without a process for each."""
        monkeypatch.chdir(demo.OUT)
        capsys.readouterr()
        assert main(list(words)) == expect
        out: str = capsys.readouterr().out
        told.append(out)
        return out

    for name in ("ELSPETH_TEST_ARM", "AZURE_SUBSCRIPTION_ID"):  # the demo sets them; they go with the test
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("elspeth.api.fleet_desk.make_client", lambda settings: client_here())
    monkeypatch.setattr(demo, "elspeth", elspeth)
    monkeypatch.setattr(demo, "SPEED", 400.0)
    assert demo.main() == 0
    story = "\n".join(told)
    assert "Standard_B2s in westeurope" in story
    assert "approved by grace" in story
    assert "for the weekend run" in story
    assert "instead_of" in story
    assert "deallocated → running" in story
    assert "0 strays deleted" in story
    assert "nothing was changed" in story


@pytest.mark.soak
def test_the_demo_as_somebody_runs_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, demo_in(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the server has 0 things of the fleet left" in done.stdout
