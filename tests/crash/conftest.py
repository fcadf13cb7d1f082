"""Pipelines that are killed, and what must come out all the same."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.engine.result import RunResult

VICTIM = Path(__file__).with_name("victim.py")
ROWS = 1_000
PIPELINE = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: look, plugin: passthrough}
  - {name: cut, plugin: truncate, options: {fields: {text: 12}}, input: long, on_success: long_done}
  - {name: more, plugin: value_transform, input: short, on_success: short_done,
     options: {operations: [{target: half, expression: "row['id'] / 2"}]}}
gates:
  - name: kind
    condition: "'bad' if row['id'] % 97 == 0 else 'join' if row['id'] % 3 == 0 else 'rest'"
    routes: {bad: discard, join: fork, rest: [kept, batched]}
    fork_to: [long, short]
coalesce:
  - {name: both, branches: {long: long_done, short: short_done}, on_success: joined}
aggregations:
  - {name: sums, plugin: batch_stats, input: batched, on_success: stats, trigger: {count: 37},
     options: {value_field: id}}
sinks:
  kept: {plugin: csv, options: {path: out/kept.csv}}
  joined: {plugin: json, options: {path: out/joined.json}}
  stats: {plugin: parquet, options: {path: out/stats.parquet}}
"""
DATABASE = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: look, plugin: passthrough}
sinks:
  output: {plugin: database, options: {url: "sqlite:///out/rows.db", table: rows}}
"""


@dataclass(frozen=True)
class Outcome:
    """All that must be the same, whether or not a run was killed in the middle."""

    files: dict[str, str]
    outcomes: dict[str, int]
    stories: dict[int, Any]


@dataclass(frozen=True)
class Scene:
    """A directory with a pipeline in it."""

    directory: Path

    def run(self) -> RunResult:
        return elspeth.run("p.yaml")

    def kill(self, point: str, count: int, how: str = "SIGKILL", *more: str) -> int:
        """Run until ``point`` has been passed ``count`` times; the exit code (negative: the signal)."""
        command = [sys.executable, str(VICTIM), point, str(count), how, *more]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, timeout=120, check=False)
        ended = {-signal.SIGKILL, 0} if how == "SIGKILL" else {0, 1}
        assert done.returncode in ended, done.stderr.decode()
        return done.returncode

    def kill_resume(self, point: str, count: int) -> int:
        """The same for a resume of the last run."""
        return self.kill(point, count, "SIGKILL", "resume")

    def start_over(self) -> None:
        """As if there had never been a run."""
        for path in (*self.directory.glob("out/**/*"), *self.directory.glob(".elspeth/*")):
            path.unlink()

    def resume(self) -> RunResult:
        return elspeth.resume()

    def outcome(self) -> Outcome:
        """What is there now, by file and by row."""
        files = {}
        for path in sorted(self.directory.glob("out/*")):
            if path.name.startswith("."):
                continue
            content = _rows(path) if path.suffix == ".db" else path.read_bytes()
            files[path.name] = hashlib.sha256(content).hexdigest()
        db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db", create=False)
        try:
            reader = LandscapeReader(db)
            outcomes = dict(reader.outcome_counts("latest"))
            rows = {index: reader.row_lineage("latest", index) for index in range(0, ROWS, 7)}
        finally:
            db.close()
        stories = {
            index: [
                (
                    t.token_no,
                    t.outcome,
                    t.sink_name,
                    [(s.node_id, s.step_index, s.output_hash) for s in t.states],
                )
                for t in row.tokens
            ]
            for index, row in rows.items()
        }
        return Outcome(files, outcomes, stories)


def _rows(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        return repr(connection.execute("SELECT * FROM rows ORDER BY rowid").fetchall()).encode()


def scene(directory: Path, pipeline: str) -> Scene:
    (directory / "out").mkdir()
    (directory / "p.yaml").write_text(pipeline)
    lines = (f"{number},text number {number} of many\n" for number in range(ROWS))
    (directory / "in.csv").write_text("id,text\n" + "".join(lines))
    return Scene(directory)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A pipeline with forks, a join and batches that writes CSV, JSON and Parquet."""
    monkeypatch.chdir(tmp_path)
    return scene(tmp_path, PIPELINE)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A pipeline that fills a table."""
    monkeypatch.chdir(tmp_path)
    return scene(tmp_path, DATABASE)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What comes out if nobody kills anything: by kind of pipeline."""
    found = {}
    before = Path.cwd()
    for kind, pipeline in (("files", PIPELINE), ("table", DATABASE)):
        directory = tmp_path_factory.mktemp(kind)
        try:
            os.chdir(directory)
            quiet = scene(directory, pipeline)
            quiet.run()
            found[kind] = quiet.outcome()
        finally:
            os.chdir(before)
    return found
