"""Every sink of the core passes the shipped contract."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from elspeth.contracts.plugins import Row
from elspeth.plugins.registry import load_catalog
from elspeth.testing import SinkContract


class CoreSink(SinkContract):
    """A sink of the catalog."""

    plugin: str

    def options(self, directory: Path) -> dict[str, Any]:
        """Options for an output in ``directory``."""
        raise NotImplementedError

    def make(self, directory: Path) -> Any:
        return load_catalog().sink(self.plugin)(self.options(directory))

    def rows(self) -> Sequence[Row]:
        return [
            {"id": 1, "note": 'a "quoted", text', "amount": Decimal("1.10"), "day": date(2024, 1, 31)},
            {"id": 2**60, "note": "two\nlines", "amount": Decimal("-0.00"), "day": date(1999, 12, 31)},
            {"id": 3, "note": "", "amount": Decimal(7), "day": date(2024, 2, 29)},
            {"id": 4, "note": "=1+1", "amount": Decimal("12.34"), "day": date(2024, 3, 1)},
        ]


class TestCsv(CoreSink):
    plugin = "csv"

    def options(self, directory: Path) -> dict[str, Any]:
        schema = {"mode": "fixed", "fields": ["id: int", "note: str", "amount: decimal", "day: date"]}
        return {"path": str(directory / "out.csv"), "schema": schema}

    def bad_row(self) -> Row | None:
        return {"id": 5, "note": "x", "amount": Decimal(1), "day": None, "surplus": 1}


class TestCsvWithOptions(CoreSink):
    plugin = "csv"

    def options(self, directory: Path) -> dict[str, Any]:
        return {
            "path": str(directory / "deeper" / "out.csv"),
            "delimiter": ";",
            "encoding": "utf-16",
            "headers": {"note": "The note"},
            "escape_formulas": True,
            "collision_policy": "fail_if_exists",
        }

    def visible(self, directory: Path) -> object:
        path = directory / "deeper" / "out.csv"
        return path.read_bytes() if path.exists() else None


class TestJson(CoreSink):
    plugin = "json"

    def options(self, directory: Path) -> dict[str, Any]:
        return {"path": str(directory / "out.json")}

    def rows(self) -> Sequence[Row]:
        nested = {"list": [1, None, {"k": True}], "when": datetime(2024, 1, 31, 12, tzinfo=UTC)}
        return [*super().rows(), {"nested": nested}, {}]

    def bad_row(self) -> Row | None:
        return {"id": float("nan")}


class TestJsonLines(TestJson):
    def options(self, directory: Path) -> dict[str, Any]:
        return {"path": str(directory / "out.jsonl")}


class TestText(CoreSink):
    plugin = "text"

    def options(self, directory: Path) -> dict[str, Any]:
        return {"path": str(directory / "out.txt"), "encoding": "cp1252"}

    def rows(self) -> Sequence[Row]:
        return [{"line": "one"}, {"line": None}, {"line": 3, "more": 1}, {"line": "fünf €"}]

    def bad_row(self) -> Row | None:
        return {"line": "two\nlines"}


class TestParquet(CoreSink):
    plugin = "parquet"

    def options(self, directory: Path) -> dict[str, Any]:
        schema = {"mode": "fixed", "fields": ["id: int", "note: str", "amount: decimal?", "day: date"]}
        return {"path": str(directory / "out.parquet"), "schema": schema}

    def bad_row(self) -> Row | None:
        return {"id": "five", "note": "x", "amount": Decimal(1), "day": date(2024, 1, 1)}


class TestDatabase(CoreSink):
    plugin = "database"

    def options(self, directory: Path) -> dict[str, Any]:
        schema = {"mode": "fixed", "fields": ["id: int", "note: str", "amount: decimal", "day: date"]}
        return {"url": f"sqlite:///{directory / 'out.db'}", "table": "results", "schema": schema}

    def visible(self, directory: Path) -> object:
        path = directory / "out.db"
        if not path.exists():
            return None
        with closing(sqlite3.connect(path)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'results'").fetchone():
                return None
            return database.execute("SELECT * FROM results ORDER BY rowid").fetchall()

    def bad_row(self) -> Row | None:
        return {"id": 2**80, "note": "x", "amount": Decimal(1), "day": date(2024, 1, 1)}


class TestNull(CoreSink):
    plugin = "null"

    def options(self, directory: Path) -> dict[str, Any]:
        return {}
