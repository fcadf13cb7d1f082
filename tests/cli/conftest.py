"""The real command line, called in this process or in one of its own, in a directory of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from elspeth.cli.main import main
from elspeth.core.landscape.database import LandscapeDB

RUN = "20261121T021530Z-abcdef"
Cli = Callable[..., "Said"]


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


@pytest.fixture(autouse=True)
def plain_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, no settings from outside, 80 columns, no colour."""
    for name in [name for name in os.environ if name.startswith("ELSPETH_")]:
        monkeypatch.delenv(name)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def here(plain_surroundings: Path) -> Path:
    """The working directory."""
    return plain_surroundings


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """``cli("runs", "show")`` → `Said`."""

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return call


@pytest.fixture
def start_cli(here: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts the command in a process of its own; ``before`` is Python to run there first."""
    started = []

    def start(*arguments: str, before: str = "", env: Mapping[str, str] | None = None) -> Any:
        script = f"import sys\n{before}\nfrom elspeth.cli.main import main\nsys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=here, env={**os.environ, **(env or {})}, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def write_pipeline(here: Path) -> Callable[..., Path]:
    """Writes a pipeline over ``orders.csv`` (``rows`` are its lines): large amounts go to ``review``."""

    def write(*rows: str) -> Path:
        (here / "orders.csv").write_text("\n".join(["id,amount,note", *rows, ""]), encoding="utf-8")
        path = here / "pipeline.yaml"
        path.write_text(PIPELINE, encoding="utf-8")
        return path

    return write


@pytest.fixture
def recorded(here: Path, record_orders: Callable[..., Any]) -> str:
    """The default landscape, with the run that `record_orders` writes; gives the run's id."""
    db = LandscapeDB.from_url(f"sqlite:///{here / '.elspeth' / 'landscape.db'}")
    record_orders(db, RUN)
    db.close()
    return RUN


PIPELINE = """\
source:
  plugin: csv
  options:
    path: orders.csv
    schema: {mode: fixed, fields: ["id: int", "amount: float", "note: str?"]}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": review, "false": approved}
sinks:
  review: {plugin: csv, options: {path: out/review.csv}}
  approved: {plugin: csv, options: {path: out/approved.csv}}
"""
