"""A place to run pipelines in, given as YAML and rows, and to look at what came of them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from sqlalchemy import Table, select, text

from elspeth import explain, run
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.landscape import schema
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reading.lineage import RowLineage, TokenLineage
from elspeth.engine.result import Progress, RunResult
from elspeth.plugins import registry
from elspeth.plugins.hookspecs import hookimpl
from elspeth.plugins.sources.base import BaseSource
from elspeth.plugins.transforms.base import BaseBatchTransform


class Slow(BaseSource):
    """Yields its rows, and then nothing: it does not end before somebody sets ``released``."""

    name: ClassVar[str] = "slow"
    rows: ClassVar[Sequence[Row]] = ()
    released: ClassVar[Event] = Event()
    in_vain: ClassVar[bool] = False

    def load(self, ctx: PluginContext) -> Iterator[Row]:
        for number, row in enumerate(self.rows, 1):
            self._read = number
            yield row
        Slow.in_vain = not self.released.wait(timeout=30)

    def position(self) -> Mapping[str, Any]:
        return {"read": getattr(self, "_read", 0)}


class Odd(BaseBatchTransform):
    """Does what the batch's first row says."""

    name: ClassVar[str] = "odd"

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        wish = rows[0].get("wish")
        if wish == "raise":
            raise ZeroDivisionError("no reason")
        if wish == "in place":
            rows[-1]["x"] = "changed"
        if wish == "error":
            return TransformResult.error({"error": "not today", "rows": len(rows)})
        if wish == "nothing":
            return TransformResult.expand([])
        if wish == "nan":
            return TransformResult.expand([{**row, "bad": float("nan")} for row in rows])
        if wish == "none":
            return None  # type: ignore[return-value]
        return TransformResult.expand([{**row, "n": len(rows), "at": at} for at, row in enumerate(rows)])


class Hooks:
    """What an installed package with these two would announce."""

    @hookimpl
    def elspeth_sources(self) -> list[type]:
        return [Slow]

    @hookimpl
    def elspeth_transforms(self) -> list[type]:
        return [Odd]


@dataclass
class Place:
    """A directory with ``in.jsonl``, ``pipeline.yaml`` and a landscape; sinks write ``NAME.jsonl``.

    In the YAML, ``IN`` stands for a JSON source's options and ``OUT:name`` for a sink of that name.
    """

    home: Path
    url: str
    result: RunResult | None = None
    seen: list[Progress] = field(default_factory=list)

    def run(self, pipeline: str, rows: Sequence[Row] = (), **files: Sequence[Row]) -> RunResult:
        """Run it and check what must hold of every run."""
        for name, content in {"in": rows, **files}.items():
            lines = "".join(json.dumps(row) + "\n" for row in content)
            (self.home / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        self.write(pipeline)
        self.result = run(self.home / "pipeline.yaml", database=self.url, watch=self.watch)
        self.check()
        return self.result

    def write(self, pipeline: str) -> Path:
        path = self.home / "pipeline.yaml"
        path.write_text(pipeline.replace("$", f"{self.home}/"), encoding="utf-8")
        return path

    def watch(self, progress: Progress) -> None:
        self.seen.append(progress)
        if any(rows for name, rows in progress.sinks.items()):
            Slow.released.set()

    def lines(self, sink: str) -> list[Any]:
        path = self.home / f"{sink}.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def row(self, index: int) -> RowLineage:
        (row,) = explain(self.result.run_id if self.result else "latest", row=index, database=self.url).rows
        return row

    def token(self, index: int, **wanted: Any) -> TokenLineage:
        """The one token of a row of which this is true."""
        (found,) = [
            token
            for token in self.row(index).tokens
            if all(getattr(token, name) == value for name, value in wanted.items())
        ]
        return found

    def errors(self, index: int) -> list[str]:
        return [error.reason["error"] for token in self.row(index).tokens for error in token.errors]

    def read(self, table: Table) -> list[Any]:
        db = LandscapeDB.from_url(self.url, create=False)
        try:
            with db.engine.connect() as connection:
                return list(connection.execute(select(table)).all())
        finally:
            db.close()

    def count(self, table: str) -> int:
        db = LandscapeDB.from_url(self.url, create=False)
        try:
            with db.engine.connect() as connection:
                return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
        finally:
            db.close()

    def check(self) -> None:
        """Every token has exactly one end, nothing waits, and every row's data can be rebuilt."""
        tokens = [token.token_id for token in self.read(schema.tokens_table)]
        ends = [outcome.token_id for outcome in self.read(schema.token_outcomes_table)]
        assert len(set(tokens)) == len(tokens)
        assert sorted(tokens) == sorted(ends)
        assert self.count("waiting_tokens") == 0
        known = set(tokens)
        for parent in self.read(schema.token_parents_table):
            assert {parent.token_id, parent.parent_token_id} <= known
        assert self.result is not None
        for index in range(min(self.result.rows.read, 20)):
            self.row(index)


@pytest.fixture
def slow_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Row]], None]:
    """Sets what the source ``slow`` gives before it waits."""

    def give(rows: Sequence[Row]) -> None:
        monkeypatch.setattr(Slow, "rows", rows)
        monkeypatch.setattr(Slow, "released", Event())
        monkeypatch.setattr(Slow, "in_vain", True)

    return give


@pytest.fixture
def waited_in_vain() -> Callable[[], bool]:
    """Whether nothing happened while the source ``slow`` waited."""
    return lambda: Slow.in_vain


@pytest.fixture(scope="module")  # for longer they would be there for tests that know nothing of them
def odd_plugins() -> Iterator[None]:
    """`slow` and `odd` are there, as if a package with them were installed."""
    package = SimpleNamespace(load=Hooks, value="odd", dist=SimpleNamespace(name="odd"))
    with pytest.MonkeyPatch.context() as patch:
        installed = registry.entry_points
        patch.setattr(registry, "entry_points", lambda group: [*installed(group=group), package])
        yield


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str, odd_plugins: None) -> Place:
    """Where pipelines run, with the landscape in SQLite."""
    return Place(tmp_path, sqlite_url)


@pytest.fixture
def any_place(tmp_path: Path, landscape_url: str, odd_plugins: None) -> Place:
    """The same, once with each kind of database."""
    return Place(tmp_path, landscape_url)


@pytest.fixture(scope="module")
def make_place(odd_plugins: None) -> type[Place]:
    """For tests that need many places."""
    return Place
