"""Every kind of source and of sink, several sources, and rows in flight, in batches and in joins."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elspeth.api.verify import verify

ROWS = [{"id": number, "text": f"text number {number} of many"} for number in range(1_000)]
SOURCES = {
    "csv": "{plugin: csv, options: {path: in.csv}}",
    "jsonl": "{plugin: json, options: {path: rows.jsonl}}",
    "json": "{plugin: json, options: {path: rows.json}}",
    "parquet": "{plugin: parquet, options: {path: rows.parquet}}",
    "text": "{plugin: text, options: {path: in.csv}}",
    "database": '{plugin: database, options: {url: "sqlite:///rows.db", table: rows, key: id}}',
    "query": '{plugin: database, options: {url: "sqlite:///rows.db", query: "SELECT * FROM rows"}}',
}
LATER = ("csv", "text", "query")  # read like others here: for `make soak`
SINKS = """
transforms:
  - {name: look, plugin: passthrough}
gates:
  - {name: all, condition: "True", routes: {"true": [csv, jsonl, array, parquet, table, more, lines]}}
sinks:
  csv: {plugin: csv, options: {path: out/a.csv}}
  jsonl: {plugin: json, options: {path: out/a.jsonl}}
  array: {plugin: json, options: {path: out/a.json}}
  parquet: {plugin: parquet, options: {path: out/a.parquet}}
  table: {plugin: database, options: {url: "sqlite:///out/a.db", table: rows, if_exists: append}}
  more: {plugin: csv, options: {path: out/more.csv, mode: append}}
  lines: {plugin: json, options: {path: out/more.jsonl, mode: append}}
"""
TWO = """
sources:
  north: {plugin: csv, options: {path: in.csv}, on_success: both}
  south: {plugin: json, options: {path: rows.jsonl}, on_success: both}
queues: {both: {}}
transforms:
  - {name: look, plugin: passthrough, input: both}
sinks: {output: {plugin: csv, options: {path: out/o.csv}}}
"""
ALL_AT_ONCE = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: look, plugin: slow, options: {}, on_success: kinds}
  - {name: cut, plugin: truncate, options: {fields: {text: 12}}, input: long, on_success: long_done}
  - {name: again, plugin: slow, options: {}, input: short, on_success: short_done}
gates:
  - name: kind
    input: kinds
    condition: "'join' if row['id'] % 3 == 0 else 'rest'"
    routes: {join: fork, rest: [kept, batched]}
    fork_to: [long, short]
coalesce:
  - {name: both, branches: {long: long_done, short: short_done}, on_success: joined}
aggregations:
  - {name: sums, plugin: batch_stats, input: batched, on_success: stats, trigger: {count: 37},
     options: {value_field: id}}
sinks:
  kept: {plugin: csv, options: {path: out/kept.csv}}
  joined: {plugin: json, options: {path: out/joined.json}}
  stats: {plugin: csv, options: {path: out/stats.csv}}
"""


def furnish_inputs() -> None:
    """The same rows in every form, and outputs that are there already where rows are appended."""
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    Path("rows.json").write_text(json.dumps(ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), "rows.parquet", row_group_size=70)
    with closing(sqlite3.connect("rows.db")) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO rows VALUES (:id, :text)", ROWS)


def there_already() -> None:
    """Rows that somebody wrote before; those of the run come behind them."""
    Path("out/more.csv").write_text("id,text\n-1,before\n")
    Path("out/more.jsonl").write_text('{"id": -1, "text": "before"}\n')


def compared(scene: Any, disturb: Callable[[], None]) -> None:
    """What a disturbed run leaves is what a quiet one leaves."""
    there_already()
    scene.victim()
    assert scene.said() == ""
    quiet = scene.outcome()
    assert len(quiet.files) > 0
    scene.start_over()
    there_already()
    disturb()
    assert scene.outcome() == quiet
    assert verify(database=scene.url).ok


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.soak if kind in LATER else ()) for kind in SOURCES]
)
def test_every_source_into_every_sink(make_scene: Callable[..., Any], kind: str) -> None:
    scene = make_scene(f"source: {SOURCES[kind]}\n{SINKS}")
    furnish_inputs()

    def disturb() -> None:
        assert scene.kill("sinks.flushed", 3) != 0
        assert scene.kill_resume("commit.end", 2) != 0
        assert scene.kill_resume("sink.published", 3) != 0
        scene.resume()

    compared(scene, disturb)


@pytest.mark.parametrize(("point", "count"), [("commit.end", 4), ("sinks.flushed", 12), ("rows.read", 1)])
def test_several_sources(make_scene: Callable[..., Any], point: str, count: int) -> None:
    scene = make_scene(TWO)
    furnish_inputs()

    def disturb() -> None:
        assert scene.kill(point, count) != 0
        scene.resume()

    compared(scene, disturb)


def killed_at_random(scene: Any, seed: int, kills: int) -> None:
    """Killed again and again while rows are in flight, in batches and in joins."""
    chance = random.Random(seed)
    points = ("transform", "commit.begin", "sinks.flushed", "commit.end")

    def disturb() -> None:
        code = scene.kill(chance.choice(points), chance.randrange(1, 9))
        for _ in range(kills - 1):
            if code != 0:
                code = scene.kill_resume(chance.choice(points), chance.randrange(1, 9))
        if code != 0:
            assert scene.victim(resume=True)[0] == 0, scene.said()

    compared(scene, disturb)


@pytest.mark.parametrize("seed", [7, 14])
def test_in_flight_in_batches_and_in_joins(make_scene: Callable[..., Any], seed: int) -> None:
    killed_at_random(make_scene(ALL_AT_ONCE), seed, 6)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_in_flight_in_batches_and_in_joins_often(make_scene: Callable[..., Any], seed: int) -> None:
    killed_at_random(make_scene(ALL_AT_ONCE), seed, 12)
