"""Pipelines with an experiment, on a few hundred rows."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.api.run import run
from elspeth.core.landscape.database import LandscapeDB
from elspeth.engine.result import RunResult

TEXTS = ("cheap pills now", "win money", "meeting at noon", "lunch money", "project pills report")


def rule(*words: str) -> dict[str, Any]:
    """Options of a classifier that calls spam what has one of these words."""
    test = " or ".join(f"{word!r} in row['text']" for word in words)
    return {"operations": [{"target": "label", "expression": f"'spam' if {test} else 'ham'"}]}


class Lab:
    """A directory with data, a pipeline file that can be changed, and a landscape."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = f"sqlite:///{directory}/landscape.db"
        self.pipeline: dict[str, Any] = {
            "source": {"plugin": "csv", "options": {"path": str(directory / "in.csv")}},
            "transforms": [{"name": "classify", "plugin": "value_transform", "options": rule("money")}],
            "experiment": {
                "experiment_id": "exp-1",
                "name": "Two rules",
                "unit": "row['customer']",
                "variants": [
                    {"variant_id": "control", "weight": 50},
                    {"variant_id": "treatment", "weight": 50, "transform_overrides": rule("now", "win")},
                ],
                "metrics": [
                    {
                        "name": "correct",
                        "value": "row['label'] == row['gold']",
                        "type": "proportion",
                        "primary": True,
                    }
                ],
            },
            "sinks": {"out": {"plugin": "csv", "options": {"path": str(directory / "out.csv")}}},
        }

    @property
    def experiment(self) -> dict[str, Any]:
        return self.pipeline["experiment"]

    def rows(self, count: int, customers: int | None = None) -> "Lab":
        """Write so many rows; each of its own customer, or of so many."""
        with (self.directory / "in.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "customer", "text", "gold", "size"])
            for index in range(count):
                text = TEXTS[index * 7 % 5]
                gold = "spam" if text.split()[-1] == "now" or text.startswith("win") else "ham"
                writer.writerow([index, f"c{index % (customers or count)}", text, gold, index % 13])
        return self

    @property
    def path(self) -> Path:
        path = self.directory / "pipeline.yaml"
        path.write_text(yaml.safe_dump(self.pipeline, sort_keys=False), encoding="utf-8")
        return path

    def run(self) -> RunResult:
        return run(self.path, database=self.database, environ={})

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        db = LandscapeDB.from_url(self.database, create=False)
        try:
            with db.engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(sql)]
        finally:
            db.close()

    def execute(self, sql: str) -> None:
        db = LandscapeDB.from_url(self.database, create=False)
        try:
            with db.engine.begin() as connection:
                connection.exec_driver_sql(sql)
        finally:
            db.close()

    def output(self) -> list[dict[str, str]]:
        with (self.directory / "out.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def _judge_of_spam(body: Any) -> str:
    """Likes spam; between equals it likes the first, if the text speaks of money the second."""
    text = str(body["messages"][-1]["content"])
    first, second = text.split("Answer 1:")[1].split("Answer 2:")
    spam = "spam" in first, "spam" in second
    choice = "1" if "meeting" in text else "2" if "lunch" in text else "tie"
    if spam[0] != spam[1]:
        choice = "1" if spam[0] else "2"
    (name,) = body["response_format"]["json_schema"]["schema"]["properties"]
    return json.dumps({name: choice})


@pytest.fixture
def spam_judge() -> Callable[[Any], str]:
    """What a judge answers; see there."""
    return _judge_of_spam
