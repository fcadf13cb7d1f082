"""``elspeth explain``: a row's story, exactly as it is shown at 80 columns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.core.landscape.database import LandscapeDB

Cli = Callable[..., Any]


def story(text: str) -> str:
    """What is behind the run's and the row's own lines."""
    return text.partition("\n\n")[2].partition("\n")[2]


def test_a_moved_row(cli: Cli, recorded: str) -> None:
    said = cli("explain", "latest", "--row", "0")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        f"run {recorded}  completed_with_failures\n"
        "\n"
        f"row 0  {recorded}-0  read 2026-11-21 02:15:30 UTC\n"
        "├── orders  source_plugin source\n"
        "│   id: 0  amt: 12.50  day: 2026-11-01  note: none\n"
        "│   sha256 3bc577502c5646a11c89eadabb502024b9d326207d4ca522f0be4c1b337c77a4\n"
        "├── tidy  transform_plugin transform  10 µs\n"
        "│   note: none → 'ok'\n"
        "│   +amount: 12.50\n"
        "│   -amt: 12.50\n"
        "├── large  gate_plugin gate  10 µs\n"
        "│   if row['amount'] > 1000\n"
        "│   false → approved  move\n"
        "├── approved  sink_plugin sink  10 µs\n"
        "└── ROUTED in approved\n"
        "    out/approved.csv  sha256\n"
        f"    {'ab' * 32}\n"
    )


def test_a_fork_is_a_tree_and_each_branch_says_what_else_happened(cli: Cli, recorded: str) -> None:
    assert story(cli("explain", "--token", f"{recorded}-1-2").out).partition("├── large")[2] == (
        "  gate_plugin gate  10 µs\n"
        "│   if row['amount'] > 1000\n"
        "│   true → review  copy  COMPLETED in review\n"
        "│   true → tidy2  copy  COMPLETED in archive\n"
        "└── FORKED into 2\n"
        f"    ├── branch review  {recorded}-1-1\n"
        "    │   ├── review  sink_plugin sink  10 µs\n"
        "    │   └── COMPLETED in review\n"
        "    │       not published\n"
        f"    └── branch tidy2  {recorded}-1-2  <- asked for\n"
        "        ├── tidy2  transform_plugin transform  10 µs\n"
        "        │   +big: 1152921504606846976\n"
        "        │   -day: 2026-11-01  -note: 'ok'\n"
        "        ├── archive  sink_plugin sink  10 µs\n"
        "        └── COMPLETED in archive\n"
        "            not published\n"
    )


def test_a_quarantined_row_shows_its_reason_where_it_failed(cli: Cli, recorded: str) -> None:
    assert story(cli("explain", "--row", "3").out) == (
        "├── orders  source_plugin source\n"
        "│   id: 3  amt: 'many'  day: '2026-11-01'  note: none\n"
        "│   amt: 'many' is not a decimal\n"
        "│   taken to quarantine\n"
        "│   sha256 164ca11f9a2705caa8ad86d968158918648c90d69cb9630d017c486ac53117f7\n"
        "├── quarantine  sink_plugin sink  10 µs\n"
        "└── QUARANTINED in quarantine\n"
        "    not published\n"
    )


def test_every_attempt_is_shown(cli: Cli, recorded: str) -> None:
    assert story(cli("explain", "--row", f"{recorded}-4").out).partition("├── tidy")[2] == (
        "  transform_plugin transform  failed  10 µs\n"
        "├── tidy  transform_plugin transform  attempt 2  failed  10 µs\n"
        "│   busy\n"
        "│   taken to failures\n"
        "│   on_error → failures  divert\n"
        "├── failures  sink_plugin sink  10 µs\n"
        "└── FAILED in failures\n"
        "    not published\n"
    )


def test_an_expanded_row_shows_its_parts(cli: Cli, recorded: str) -> None:
    out = story(cli("explain", "--row", "5").out)
    assert "│   id: 5  items: [{sku: 'a'}, {sku: 'b'}]\n" in out
    assert f"└── EXPANDED into 2\n    ├── part 1  {recorded}-5-1\n" in out


def test_the_token_of_the_row_itself_is_marked_too(cli: Cli, recorded: str) -> None:
    assert "UTC  <- asked for\n" in cli("explain", "--token", f"{recorded}-0-0").out


def test_several_rows_and_that_there_are_more(cli: Cli, recorded: str) -> None:
    said = cli("explain", recorded, "--where", "row['id'] < 3", "--limit", "2")
    assert said.out.count("\nrow ") == 2
    assert said.err == "\nmore rows match: raise --limit\n"
    assert cli("explain", "--sink", "review", "--limit", "2").err == ""


def test_json_is_whole_and_alone(cli: Cli, recorded: str) -> None:
    said = cli("explain", "--row", "1", "--json")
    assert said.err == ""
    assert said.json["run"]["run_id"] == recorded
    assert [child["branch"] for child in said.json["rows"][0]["tokens"][0]["children"]] == ["review", "tidy2"]


def test_another_database(cli: Cli, here: Path, record_orders: Callable[..., Any]) -> None:
    db = LandscapeDB.from_url(f"sqlite:///{here / 'audit.db'}")
    record_orders(db)
    db.close()
    assert cli("explain", "--row", "0", "--database", "sqlite:///audit.db").code == 0


@pytest.mark.usefixtures("recorded")
def test_questions_that_cannot_be_answered(cli: Cli) -> None:
    assert cli("explain").err.startswith("error: say which row is meant\n  fix: give one of --row N")
    assert cli("explain", "--row", "99").code == 2
    assert cli("explain", "--where", "row[").code == 2
    assert cli("explain", "--sink", "reveiw").err.endswith("  fix: did you mean review?\n")


def test_what_data_hold_cannot_steer_the_terminal_and_long_values_are_cut_short(
    cli: Cli, write_pipeline: Callable[..., Path]
) -> None:
    write_pipeline(f"1,5,\x1b[31mred {'x' * 100}")
    assert cli("run", "pipeline.yaml").code == 0
    shown = cli("explain", "--row", "0").out
    assert "\x1b" not in shown
    assert f"note: '\\x1b[31mred {'x' * 38}…' (109 characters)" in shown
    data = cli("explain", "--row", "0", "--json").json["rows"][0]["source"]["data"]
    assert data["note"] == f"\x1b[31mred {'x' * 100}"
