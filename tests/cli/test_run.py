"""``elspeth run``: summary, JSON, dry run, exit codes, hints."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
Write = Callable[..., Path]


def same(text: str) -> str:
    """What differs from run to run, made the same."""
    text = re.sub(r"\d{8}T\d{6}Z-\w{6}", "RUN", text)
    text = re.sub(r"\d[\d.]* (µs|ms|s)(?= \()", "TIME", text)
    return re.sub(r"\([\d,]+/s\)", "(RATE)", text)


def test_the_summary(cli: Cli, here: Path, write_pipeline: Write) -> None:
    write_pipeline("1,5,small", "2,2000,large", "3,7,small")
    said = cli("run", "pipeline.yaml")
    approved, review = (
        sha256((here / "out" / f"{name}.csv").read_bytes()).hexdigest()[:12]
        for name in ("approved", "review")
    )
    assert said.code == 0
    assert same(said.out) == (
        "run RUN  completed  3 rows in TIME (RATE)\n"
        "\n"
        "sink         rows   bytes   sha256          path\n"
        "────────────────────────────────────────────────────────────\n"
        f"review          1    30 B   {review}…   out/review.csv\n"
        f"approved        2    39 B   {approved}…   out/approved.csv\n"
        "quarantine      0       –   –               –\n"
        "\n"
        "tokens  ROUTED 3\n"
    )
    assert said.err == "\nnext: elspeth explain latest --row 0\n"


def test_json(cli: Cli, here: Path, write_pipeline: Write) -> None:
    write_pipeline("1,5,small", "2,2000,large")
    said = cli("run", "-s", "pipeline.yaml", "--json")
    assert said.err == ""
    assert {"run_id", "status", "rows", "outcomes", "sinks", "duration_s"} <= set(said.json)
    assert said.json["rows"] == {"read": 2, "quarantined": 0, "failed": 0}
    review = said.json["sinks"]["review"]
    assert review["sha256"] == sha256((here / "out" / "review.csv").read_bytes()).hexdigest()


def test_a_quarantined_row_gives_exit_code_1(cli: Cli, write_pipeline: Write) -> None:
    write_pipeline("1,5,fine", "2,many,not a number")
    said = cli("run", "pipeline.yaml")
    assert said.code == 1
    assert "completed_with_failures" in said.out
    assert "QUARANTINED 1" in said.out
    assert said.err == (
        "\nwhy: elspeth runs show latest, elspeth explain latest --sink quarantine --limit 1\n"
    )
    assert "many" in cli("explain", "latest", "--sink", "quarantine", "--limit", "1").out


def test_a_run_without_rows_says_so(cli: Cli, write_pipeline: Write) -> None:
    write_pipeline()
    said = cli("run", "pipeline.yaml")
    assert said.code == 0
    assert said.err == "\nno rows were read; see: elspeth runs show latest\n"


def test_the_hint_names_the_landscape_unless_it_is_the_usual_one(cli: Cli, write_pipeline: Write) -> None:
    write_pipeline("1,5,x")
    said = cli("run", "pipeline.yaml", "--database", "sqlite:///my audit.db")
    assert said.err == "\nnext: elspeth explain latest --row 0 --database 'sqlite:///my audit.db'\n"
    assert cli("explain", "--row", "0", "--database", "sqlite:///my audit.db").code == 0


def test_the_environment_is_a_usual_place(
    cli: Cli, write_pipeline: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSPETH_LANDSCAPE__URL", "sqlite:///elsewhere.db")
    write_pipeline("1,5,x")
    assert cli("run", "pipeline.yaml").err == "\nnext: elspeth explain latest --row 0\n"
    assert len(cli("runs", "--json").json["runs"]) == 1


def test_dry_run_shows_what_would_be_done_and_writes_nothing(
    cli: Cli, here: Path, write_pipeline: Write
) -> None:
    write_pipeline("1,5,x")
    (here / "out").mkdir()
    (here / "out" / "review.csv").write_text("old", encoding="utf-8")
    before = sorted(here.rglob("*"))
    said = cli("run", "pipeline.yaml", "--dry-run")
    assert (said.code, said.err) == (0, "")
    assert said.out == DRY_RUN
    assert sorted(here.rglob("*")) == before
    assert (here / "out" / "review.csv").read_text(encoding="utf-8") == "old"


def test_dry_run_as_json_is_the_plan(cli: Cli, write_pipeline: Write) -> None:
    write_pipeline("1,5,x")
    plan = cli("run", "pipeline.yaml", "--dry-run", "--json").json
    assert plan == cli("validate", "pipeline.yaml", "--json").json
    assert {"nodes", "edges", "sinks", "schemas", "landscape"} <= set(plan)


@pytest.mark.parametrize("arguments", [[], ["pipeline.yaml", "-s", "pipeline.yaml"]])
def test_one_file_must_be_named(cli: Cli, arguments: list[str]) -> None:
    said = cli("run", *arguments)
    assert said.code == 2
    assert said.err.startswith("error: name one pipeline file\n")


DRY_RUN = """\
valid  pipeline.yaml  (5 nodes, 7 edges)
source  id: int  amount: float  note: str?

node         type     plugin   detail
───────────────────────────────────────────────────
source       source   csv
large        gate     gate     row['amount'] > 1000
review       sink     csv
approved     sink     csv
quarantine   sink     json

from       label                   mode     to
──────────────────────────────────────────────────────
source     on_success              move     large
source     on_validation_failure   divert   quarantine
large      true                    move     review
large      false                   move     approved
large      on_error                divert   quarantine
review     on_write_failure        divert   quarantine
approved   on_write_failure        divert   quarantine

sink         plugin   writes
────────────────────────────────────────────────────
review       csv      out/review.csv     replaces it
approved     csv      out/approved.csv   new
quarantine   json     –

on record in sqlite:///.elspeth/landscape.db
"""


@pytest.mark.parametrize(
    ("option", "fate"),
    [("mode: append", "adds to it"), ("collision_policy: auto_increment", "takes a free name")],
)
def test_dry_run_says_what_becomes_of_a_file_that_is_there(
    cli: Cli, here: Path, write_pipeline: Write, option: str, fate: str
) -> None:
    write_pipeline("1,5,x")
    pipeline = here / "pipeline.yaml"
    text = pipeline.read_text("utf-8").replace("path: out/review.csv", f"path: out/review.csv, {option}")
    pipeline.write_text(text, encoding="utf-8")
    (here / "out").mkdir()
    (here / "out" / "review.csv").write_text("id\n", encoding="utf-8")
    (line,) = [
        line for line in cli("run", "pipeline.yaml", "--dry-run").out.splitlines() if "review.csv" in line
    ]
    assert line.rstrip().endswith(fate)
