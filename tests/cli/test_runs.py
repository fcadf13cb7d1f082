"""``elspeth runs``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder

Cli = Callable[..., Any]


def test_the_list(cli: Cli, recorded: str) -> None:
    said = cli("runs")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "run                         took   status                    pipeline\n"
        "─────────────────────────────────────────────────────────────────────\n"
        f"{recorded}   2.00 s   completed_with_failures\n"
    )


def test_the_newest_come_first_and_the_list_can_be_cut(
    cli: Cli, here: Path, record_orders: Callable[..., Any]
) -> None:
    db = LandscapeDB.from_url(f"sqlite:///{here / 'audit.db'}")
    for run_id in ("20261121T021530Z-aaaaaa", "20261121T021530Z-bbbbbb"):
        record_orders(db, run_id)
    db.close()
    listed = cli("runs", "--database", "sqlite:///audit.db", "--json").json["runs"]
    assert [run["run_id"][-6:] for run in listed] == ["bbbbbb", "aaaaaa"]
    assert len(cli("runs", "--database", "sqlite:///audit.db", "--limit", "1", "--json").json["runs"]) == 1


def test_a_run_whose_process_is_gone_is_abandoned(cli: Cli, here: Path, recording: Any) -> None:
    db = LandscapeDB.from_url(f"sqlite:///{here / 'audit.db'}")
    run = recording(db, "20261121T021530Z-aaaaaa")
    LandscapeRecorder(db).hold_run(run.run_no)
    options = ("--database", "sqlite:///audit.db")
    assert cli("runs", *options, "--json").json["runs"][0]["status"] == "running"  # by this process
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE run_leases SET owner = owner || '0'"))
    db.close()
    said = cli("runs", *options)
    assert "abandoned" in said.out
    assert said.out.endswith(
        f"nobody works on {run.run_id} any more; to go on: elspeth resume {run.run_id}\n"
    )
    assert cli("runs", "show", run.run_id, *options, "--json").json["status"] == "abandoned"


def test_one_run(cli: Cli, recorded: str) -> None:
    assert cli("runs", "show").out == SHOWN.replace("RUN", recorded)
    assert cli("runs", "show", recorded).out == cli("runs", "show", "latest").out


def test_one_run_as_json(cli: Cli, recorded: str) -> None:
    shown = cli("runs", "show", "--json").json
    assert shown["run_id"] == recorded
    assert shown["rows"] == {"read": 6, "quarantined": 1, "failed": 1}


def test_options_may_come_before_the_word(cli: Cli, recorded: str) -> None:
    url = "sqlite:///.elspeth/landscape.db"
    assert cli("runs", "--json", "--database", url, "show").json["run_id"] == recorded


def test_an_unknown_run_says_what_may_have_been_meant(cli: Cli, recorded: str) -> None:
    said = cli("runs", "show", recorded[:-1])
    assert said.code == 2
    assert said.err == f"error: there is no run '{recorded[:-1]}'\n  fix: did you mean {recorded}?\n"


SHOWN = """\
run          RUN
status       completed_with_failures
pipeline
started      2026-11-21 02:15:30 UTC, took 2.00 s
config hash
version      elspeth , mode live
rows         6 read, 1 quarantined, 1 failed
repeatable   full: the same input gives the same output

sink         rows   bytes   sha256          path
────────────────────────────────────────────────────────────
review          2       –   –               not published
archive         2       –   –               not published
approved        3   120 B   abababababab…   out/approved.csv
failures        1       –   –               not published
quarantine      1       –   –               not published

node         type        plugin             completed   failed    mean     p95
──────────────────────────────────────────────────────────────────────────────
orders       source      source_plugin              0        0       –       –
tidy         transform   transform_plugin           3        2   10 µs   10 µs
large        gate        gate_plugin                3        0   10 µs   10 µs
tidy2        transform   transform_plugin           2        0   10 µs   10 µs
explode      transform   transform_plugin           1        0   10 µs   10 µs
review       sink        sink_plugin                2        0   10 µs   10 µs
archive      sink        sink_plugin                2        0   10 µs   10 µs
approved     sink        sink_plugin                3        0   10 µs   10 µs
failures     sink        sink_plugin                1        0   10 µs   10 µs
quarantine   sink        sink_plugin                1        0   10 µs   10 µs

tokens  COMPLETED 6  EXPANDED 1  FAILED 1  FORKED 2  QUARANTINED 1  ROUTED 1

rows   node     error
────────────────────────────────────────────
   1   orders   amt: 'many' is not a decimal
   1   tidy     busy
"""
