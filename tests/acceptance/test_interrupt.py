"""Ctrl-C and SIGTERM in the middle of a long run: it ends cleanly, and what was committed is consistent."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from elspeth import explain
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.schema import rows_table, runs_table, token_outcomes_table, tokens_table
from elspeth.core.landscape.tables import checkpoints_table, traces_table

ROWS = 300_000
SINKS = ("audit", "review", "paid")
PIPELINE = {
    "source": {"plugin": "csv", "options": {"path": "in.csv"}},
    "gates": [
        {
            "name": "large",
            "condition": "row['amount'] > 500",
            "routes": {"true": ["audit", "review"], "false": "paid"},
        }
    ],
    "sinks": {
        name: {"plugin": "csv", "options": {"path": f"{name}.csv"}} for name in ("audit", "review", "paid")
    },
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly(tmp_path: Path, number: int) -> None:
    with (tmp_path / "in.csv").open("w", encoding="utf-8") as stream:
        stream.write("id,amount,note\n")
        stream.writelines(f"{index},{index % 1000},{'n' * 60}\n" for index in range(ROWS))
    (tmp_path / "p.yaml").write_text(json.dumps(PIPELINE), encoding="utf-8")
    code, out, err = _interrupted(tmp_path, number)
    assert code == 130
    assert out == ""
    assert "interrupted: run" in err
    assert "No output file was published" in err
    assert "go on with: elspeth resume" in err
    assert not list(tmp_path.glob("*.csv")) or [path.name for path in tmp_path.glob("*.csv")] == ["in.csv"]
    _check_consistent(tmp_path)


def _interrupted(home: Path, number: int) -> tuple[int, str, str]:
    """Run the pipeline in a process of its own, and send it a signal as soon as it shows progress."""
    process = subprocess.Popen(
        [sys.executable, "-m", "elspeth", "run", "p.yaml"], cwd=home, text=True, env={**os.environ},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        while not list(home.glob(".paid.csv.*.part")) and process.poll() is None:
            threading.Event().wait(0.01)
        process.send_signal(number)
        out, err = process.communicate()
    finally:
        guard.cancel()
        process.kill()
    return process.returncode, out, err


def _check_consistent(home: Path) -> None:
    url = f"sqlite:///{home}/.elspeth/landscape.db"
    db = LandscapeDB.from_url(url, create=False)
    with db.engine.connect() as connection:

        def count(table: Any) -> int:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

        (found,) = connection.execute(select(runs_table)).all()
        (point,) = connection.execute(select(checkpoints_table)).all()
        first = select(traces_table.c.row_no).where(traces_table.c.token_no == 0)
        read = sorted(connection.execute(first).scalars())
        sink = token_outcomes_table.c.sink_name
        ends = dict(connection.execute(select(sink, func.count()).group_by(sink)).all())
        assert count(tokens_table) == count(token_outcomes_table) == sum(ends.values())
        assert count(rows_table) == point.rows_read == len(read)
    db.close()
    assert found.status == "interrupted"
    assert found.completed_at is not None
    assert 0 < len(read) < ROWS
    assert read == list(range(len(read)))
    positions = json.loads(point.sink_positions)
    for name in SINKS:
        (part,) = home.glob(f".{name}.csv.*.part")
        assert part.stat().st_size >= positions[name]["bytes"]
        committed = part.read_bytes()[: positions[name]["bytes"]]
        assert committed.endswith(b"\n")
        assert committed.count(b"\n") == ends[name] + 1
    last = explain(row=len(read) - 1, database=url).rows[0]
    assert last.source_data is not None
    assert last.source_data["id"] == len(read) - 1
