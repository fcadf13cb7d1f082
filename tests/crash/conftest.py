"""Pipelines that are killed, and what must come out all the same."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth.contracts.errors import LandscapeError, NotFoundError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.engine.result import RunResult

VICTIM = Path(__file__).with_name("victim.py")
SQLITE = "sqlite:///.elspeth/landscape.db"
ROWS = 1_000
STOPPED = 1000
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


class Nursery:
    """Where victims come from: a process that has everything loaded, and forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(VICTIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request: Any) -> tuple[int, int]:
        """The exit code of a victim (negative: the signal; `STOPPED`) and its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["process"]

    def close(self) -> None:
        """No more victims."""
        self._process.communicate()


@dataclass(frozen=True)
class Scene:
    """A directory with a pipeline in it. Everything happens in its directory."""

    directory: Path
    nursery: Nursery
    url: str = SQLITE

    def run(self, **more: Any) -> RunResult:
        return elspeth.run("p.yaml", database=self.url, **more)

    def resume(self, **more: Any) -> RunResult:
        return elspeth.resume(database=self.url, **more)

    def victim(self, **order: Any) -> tuple[int, int]:
        """The exit code and the process id of a victim; see `Order`."""
        return self.nursery.ask(cwd=str(self.directory), url=self.url, **order)

    def said(self) -> str:
        """What the last victim died of, in its own words."""
        return (self.directory / "victim.log").read_text()

    def kill(self, point: str, count: int, how: str = "SIGKILL", **more: Any) -> int:
        """Run until ``point`` has been passed ``count`` times; the exit code (negative: the signal)."""
        code, _ = self.victim(point=point, count=count, how=how, **more)
        assert code in ({-signal.SIGKILL, 0} if how == "SIGKILL" else {0, 1}), self.said()
        return code

    def kill_resume(self, point: str, count: int) -> int:
        """The same for a resume of the last run."""
        return self.kill(point, count, resume=True)

    def start_over(self) -> None:
        """As if there had never been a run."""
        for path in (*self.directory.glob("out/**/*"), *self.directory.glob(".elspeth/**/*")):
            if path.is_file():
                path.unlink()

    def outcome(self, rows_read: int = ROWS) -> Outcome:
        """What is there now, by file and by row (every 29th)."""
        db = LandscapeDB.from_url(self.url, create=False)
        try:
            reader = LandscapeReader(db)
            outcomes = dict(reader.outcome_counts("latest"))
            rows = {index: reader.row_lineage("latest", index) for index in range(0, rows_read, 29)}
        finally:
            db.close()
        stories = {
            index: [
                (t.token_no, t.outcome, t.sink_name, [(s.node_id, s.output_hash) for s in t.states])
                for t in row.tokens
            ]
            for index, row in rows.items()
        }
        return Outcome(self.files(), outcomes, stories)

    def statuses(self) -> list[str]:
        """How the runs on record stand; none if there is no record yet."""
        try:
            db = LandscapeDB.from_url(self.url, create=False)
        except (LandscapeError, NotFoundError):
            return []
        try:
            return [str(run.status) for run in LandscapeReader(db).runs(100)]
        finally:
            db.close()

    def files(self) -> dict[str, str]:
        """Each output's hash; tables by their rows."""
        found = {}
        for path in sorted(self.directory.glob("out/*")):
            if not path.name.startswith(".") and not path.name.endswith(("-wal", "-shm", "-journal")):
                content = _rows(path) if path.suffix == ".db" else path.read_bytes()
                found[path.name] = hashlib.sha256(content).hexdigest()
        return found


def _rows(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        return repr(connection.execute("SELECT * FROM rows ORDER BY rowid").fetchall()).encode()


Maker = Callable[..., Scene]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One for all tests of a worker."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="session")
def furnish(nursery: Nursery) -> Maker:
    """Puts a pipeline and its input into a directory."""

    def make(directory: Path, pipeline: str, url: str = SQLITE) -> Scene:
        (directory / "out").mkdir()
        (directory / "p.yaml").write_text(pipeline)
        lines = (f"{number},text number {number} of many\n" for number in range(ROWS))
        (directory / "in.csv").write_text("id,text\n" + "".join(lines))
        return Scene(directory, nursery, url)

    return make


@pytest.fixture
def make_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, furnish: Maker) -> Callable[..., Scene]:
    """A pipeline of the test's own, in the working directory."""

    def make(pipeline: str, url: str = SQLITE) -> Scene:
        monkeypatch.chdir(tmp_path)
        return furnish(tmp_path, pipeline, url)

    return make


@pytest.fixture
def files(make_scene: Callable[..., Scene]) -> Scene:
    """A pipeline with forks, a join and batches that writes CSV, JSON and Parquet."""
    return make_scene(PIPELINE)


@pytest.fixture
def table(make_scene: Callable[..., Scene]) -> Scene:
    """A pipeline that fills a table."""
    return make_scene(DATABASE)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, furnish: Maker) -> dict[str, Outcome]:
    """What comes out if nobody kills anything: by kind of pipeline."""
    found = {}
    before = Path.cwd()
    for kind, pipeline in (("files", PIPELINE), ("table", DATABASE)):
        directory = tmp_path_factory.mktemp(kind)
        try:
            os.chdir(directory)
            quiet = furnish(directory, pipeline)
            quiet.run()
            found[kind] = quiet.outcome()
        finally:
            os.chdir(before)
    return found
