"""Every source of the core passes the shipped contract."""

import json
import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from elspeth.plugins.registry import load_catalog
from elspeth.testing import SourceContract


class CoreSource(SourceContract):
    """A source of the catalog; the input is written before it is made."""

    plugin: str
    least = 5

    def options(self, directory: Path) -> dict[str, Any]:
        """Write the input, and return the options for it."""
        raise NotImplementedError

    def make(self, directory: Path) -> Any:
        return load_catalog().source(self.plugin)(self.options(directory))


def written(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


class TestCsv(CoreSource):
    plugin = "csv"

    def options(self, directory: Path) -> dict[str, Any]:
        text = 'User ID,note,amount\n1,"two\nlines",1.5\n2,,\n3,x\n4,"ü ""q""",2\nx,bad id,3\n6,end,4'
        return {"path": written(directory / "in.csv", text)}


class TestCsvWithSchema(CoreSource):
    plugin = "csv"

    def options(self, directory: Path) -> dict[str, Any]:
        text = "\ufeffid;when\r\n1;2024-01-31\r\n2;\r\nx;2024-02-30\r\n4;2024-02-29\r\n5;2024-01-01\r\n"
        schema = {"mode": "fixed", "fields": ["id: int", "when: date?"]}
        return {"path": written(directory / "in.csv", text), "delimiter": ";", "schema": schema}


class TestJson(CoreSource):
    plugin = "json"

    def options(self, directory: Path) -> dict[str, Any]:
        rows = [{"id": i, "nested": {"list": [i, None, 1.5]}, "big": 2**70 + i} for i in range(6)]
        return {"path": written(directory / "in.json", json.dumps({"data": rows})), "data_key": "data"}


class TestJsonLines(CoreSource):
    plugin = "json"

    def options(self, directory: Path) -> dict[str, Any]:
        lines = ['{"id": 1}', '{"id": 2, "x": "é"}', "{broken", "", "[1]", '{"id": 4}', '{"id": 5}']
        return {"path": written(directory / "in.jsonl", "\n".join(lines))}


class TestText(CoreSource):
    plugin = "text"

    def options(self, directory: Path) -> dict[str, Any]:
        return {"path": written(directory / "in.txt", "one\r\ntwo\n\nfour\x00\nfive")}


class TestParquet(CoreSource):
    plugin = "parquet"

    def options(self, directory: Path) -> dict[str, Any]:
        path = directory / "in.parquet"
        if not path.exists():
            days = [date(2024, 1, day) for day in range(1, 7)]
            tags = [["a"], [], None, ["b", None], ["c"], []]
            amounts = [Decimal("1.10"), None, Decimal(2), Decimal(3), Decimal(4), Decimal("5.55")]
            ratios = [0.5, float("nan"), 1.0, 2.0, None, 3.0]
            columns = {
                "id": [1, 2, 3, 2**60, 5, 6],
                "day": days,
                "tags": tags,
                "amount": amounts,
                "r": ratios,
            }
            pq.write_table(pa.table(columns), path)
        return {"path": str(path)}


class TestDatabase(CoreSource):
    plugin = "database"
    extra: ClassVar[dict[str, Any]] = {"table": "things", "key": "id"}

    def options(self, directory: Path) -> dict[str, Any]:
        path = directory / "in.db"
        if not path.exists():
            with closing(sqlite3.connect(path)) as database:
                database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, ratio REAL)")
                rows = [
                    (9, "i", 1.5),
                    (2, None, 2.5),
                    (2**60, "ü", float("inf")),
                    (4, "d", None),
                    (5, "", 0.0),
                ]
                database.executemany("INSERT INTO things VALUES (?, ?, ?)", rows)
                database.commit()
        return {"url": f"sqlite:///{path}", **self.extra}


class TestDatabaseQuery(TestDatabase):
    extra: ClassVar[dict[str, Any]] = {"query": "SELECT id, name FROM things", "order_by": ["name", "id"]}


class TestNull(CoreSource):
    plugin = "null"
    least = 0

    def options(self, directory: Path) -> dict[str, Any]:
        return {}
