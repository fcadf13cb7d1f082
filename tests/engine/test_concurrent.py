"""Concurrent transforms in real runs: many rows in flight, everything in the order of the rows."""

import random
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth.contracts.errors import PluginError, RunInterruptedError
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.engine.orchestrator import never
from elspeth.plugins.registry import PluginCatalog
from elspeth.plugins.transforms.threaded import ThreadedTransform


class Slow(ThreadedTransform):
    """Doubles x after a while; counts how many rows are being worked on."""

    name = "slow"
    lock = threading.Lock()
    flying = 0
    peak = 0
    calls = 0

    @classmethod
    def reset(cls) -> None:
        cls.flying = cls.peak = cls.calls = 0

    def work(self, row: Row, ctx: PluginContext) -> TransformResult:
        cls = type(self)
        with cls.lock:
            cls.calls += 1
            cls.flying += 1
            cls.peak = max(cls.peak, cls.flying)
        time.sleep(random.Random(row["x"]).random() * 0.004)
        with cls.lock:
            cls.flying -= 1
        if row["x"] % 50 == 13:
            return TransformResult.error("unlucky")
        if row["x"] % 50 == 17 and ctx.attempt == 1:
            return TransformResult.error("busy", retryable=True)
        if row["x"] < 0:
            raise ZeroDivisionError("negative")
        return TransformResult.success({**row, "twice": row["x"] * 2})


@pytest.fixture(autouse=True)
def _plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Slow.reset()
    original = PluginCatalog.transform
    monkeypatch.setattr(
        PluginCatalog, "transform", lambda self, name: Slow if name == "slow" else original(self, name)
    )


PIPELINE = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: twice, plugin: slow, options: {pool_size: 8}, input: odd, on_success: output}
gates:
  - {name: parity, condition: "row['x'] % 2 == 1", routes: {"true": odd, "false": output}}
sinks:
  output: {plugin: json, options: {path: out.jsonl}}
retry: {max_attempts: 2, initial_delay_seconds: 0, max_delay_seconds: 0}
"""
TWO = """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: left, plugin: slow, options: {pool_size: 8}, input: a, on_success: output}
  - {name: right, plugin: slow, options: {pool_size: 8}, input: b, on_success: other}
gates:
  - {name: both, condition: "True", routes: {"true": fork}, fork_to: [a, b]}
sinks:
  output: {plugin: csv, options: {path: out.csv}}
  other: {plugin: csv, options: {path: other.csv}}
"""


def write(pipeline: str, rows: int) -> None:
    Path("p.yaml").write_text(pipeline)
    Path("in.csv").write_text("x\n" + "".join(f"{x}\n" for x in range(rows)))


def lines(name: str = "out.jsonl") -> list[str]:
    return Path(name).read_text().splitlines()


def expected(rows: int) -> list[str]:
    return [f'{{"x":{x},"twice":{x * 2}}}' if x % 2 else f'{{"x":{x}}}' for x in range(rows) if x % 50 != 13]


def test_rows_come_out_in_order_although_some_overtake_others() -> None:
    write(PIPELINE, 600)
    result = elspeth.run("p.yaml").to_dict()
    assert [line.replace(" ", "") for line in lines()] == expected(600)
    assert result["rows"] == {"read": 600, "quarantined": 12, "failed": 0}
    assert 4 < Slow.peak <= 8


def test_several_concurrent_nodes_work_at_the_same_time() -> None:
    write(TWO, 200)
    result = elspeth.run("p.yaml").to_dict()
    assert Slow.peak > 8
    assert result["outcomes"] == {"COMPLETED": 392, "FORKED": 200, "QUARANTINED": 8}
    assert lines("out.csv") == lines("other.csv")
    assert lines("out.csv")[1:] == [f"{x},{x * 2}" for x in range(200) if x % 50 != 13]


def test_times_and_attempts_are_on_record_in_order_of_the_steps() -> None:
    write(PIPELINE, 60)
    elspeth.run("p.yaml")
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    (token,) = LandscapeReader(db).row_lineage("latest", 17).tokens
    db.close()
    steps = [(state.node_id, state.attempt, state.status) for state in token.states]
    assert steps == [
        ("source", 1, "completed"),
        ("parity", 1, "completed"),
        ("twice", 1, "failed"),
        ("twice", 2, "completed"),
        ("output", 1, "completed"),
    ]
    instants = [at for state in token.states for at in (state.started_at, state.completed_at)]
    assert instants == sorted(instants)
    assert token.states[3].output_data == {"x": 17, "twice": 34}


def test_a_stopped_run_goes_on_with_the_same_output() -> None:
    write(PIPELINE, 800)
    elspeth.run("p.yaml")
    whole, calls = lines(), Slow.calls
    Path("out.jsonl").unlink()
    Slow.reset()
    stopped = 0
    asked = 0

    def soon() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    work: Any = partial(elspeth.run, "p.yaml", stop=soon)
    while stopped < 100:
        try:
            work()
            break
        except RunInterruptedError:
            assert not Path("out.jsonl").exists()
            stopped, asked = stopped + 1, 0
            work = partial(elspeth.resume, stop=soon if stopped < 4 else never)
    assert stopped >= 2
    assert lines() == whole
    assert Slow.calls >= calls


def test_what_a_worker_raises_stops_the_run_and_names_the_row() -> None:
    write(PIPELINE, 3)
    Path("in.csv").write_text("x\n1\n-3\n5\n")
    with pytest.raises(PluginError, match="ZeroDivisionError: negative"):
        elspeth.run("p.yaml")


def test_a_batch_behind_a_concurrent_node_gets_its_rows_in_order() -> None:
    write(
        """
source: {plugin: csv, options: {path: in.csv}}
transforms:
  - {name: twice, plugin: slow, options: {pool_size: 8}, on_success: tens}
aggregations:
  - {name: sums, plugin: batch_stats, input: tens, trigger: {count: 10}, options: {value_field: x}}
sinks:
  output: {plugin: json, options: {path: out.jsonl}}
retry: {max_attempts: 2, initial_delay_seconds: 0, max_delay_seconds: 0}
""",
        100,
    )
    result = elspeth.run("p.yaml").to_dict()
    assert result["outcomes"]["CONSUMED_IN_BATCH"] == 98
    assert len(lines()) == 10
    assert '"sum":45' in lines()[0].replace(" ", "")
