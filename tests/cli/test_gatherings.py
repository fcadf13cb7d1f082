"""``elspeth explain`` of joined rows and of batches, as it is shown and as JSON."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth import explain

Cli = Callable[..., Any]
JOIN = """
source: {plugin: json, options: {path: in.jsonl}}
gates:
  - {name: split, condition: "True", routes: {"true": fork, "false": discard}, fork_to: [a, b]}
transforms:
  - {name: add, plugin: value_transform, input: b, on_success: b_done,
     options: {operations: [{target: y, expression: "row['x'] + 1"}]}}
coalesce:
  - {name: both, branches: {a: a, b: b_done}, union_collision_policy: first_wins, on_success: out}
sinks: {out: {plugin: json, options: {path: out.jsonl}}}
"""
BATCH = """
source: {plugin: json, options: {path: in.jsonl}}
aggregations:
  - {name: sums, plugin: batch_stats, trigger: {count: 2}, on_success: out, on_error: bad,
     options: {value_field: x}}
sinks: {out: {plugin: json, options: {path: out.jsonl}}, bad: {plugin: json, options: {path: bad.jsonl}}}
"""


@pytest.fixture
def story(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a pipeline over rows with these values of ``x``, and explains; ids without the run."""

    monkeypatch.setenv("COLUMNS", "160")

    def tell(pipeline: str, values: str, *question: str) -> Any:
        (here / "in.jsonl").write_text("".join(f'{{"x": {x}}}\n' for x in values.split()), encoding="utf-8")
        (here / "p.yaml").write_text(pipeline, encoding="utf-8")
        assert cli("run", "p.yaml").code in (0, 1)
        said = cli("explain", "latest", *question)
        assert said.code == 0, said.err
        return said.json if "--json" in question else re.sub(r"\d{8}T\d{6}Z-\w{6}-", "", said.out)

    return tell


def test_a_joined_row(story: Callable[..., Any]) -> None:
    told = story(JOIN, "1", "--row", "0")
    assert "COALESCED into 0-3\n" in told
    assert "joined both  0-3\n" in told
    assert "union of a (1), b (2), policy require_all\n" in told
    assert "from a: x\n" in told
    assert "from b: y\n" in told


def test_a_joined_row_as_json(story: Callable[..., Any]) -> None:
    told = story(JOIN, "1", "--row", "0", "--json")
    (root,) = told["rows"][0]["tokens"]
    joined = root["children"][0]["children"][0]
    assert joined["merge"] == {
        "coalesce": "both", "policy": "require_all", "merge": "union", "branches": ["a", "b"],
        "origins": {"x": "a", "y": "b"},
    }  # fmt: skip
    assert joined["parents"] == [child["token_id"] for child in root["children"]]
    assert [child["joined_into"] for child in root["children"]] == [[joined["token_id"]]] * 2


def test_a_member_of_a_batch_and_its_result(story: Callable[..., Any]) -> None:
    told = story(BATCH, "1 2 3", "--row", "0")
    assert "batch b0 (count): row 1 of 2 → 1 row: 0-1\n" in told
    assert "result 1  0-1\n" in told
    assert "batch b0 (count) of 2 rows: 0-0, 1-0\n" in told


def test_the_other_members_name_the_result(story: Callable[..., Any]) -> None:
    told = story(BATCH, "1 2 3", "--row", "1")
    assert "batch b0 (count): row 2 of 2 → 1 row: 0-1\n" in told
    assert told.endswith("└── CONSUMED_IN_BATCH\n")
    assert "(end of source): row 1 of 1 → 1 row: 2-1\n" in story(BATCH, "1 2 3", "--row", "2")


def test_a_failed_batch(story: Callable[..., Any]) -> None:
    told = story(BATCH, '1 "many"', "--row", "0")
    assert "row 2 of the 2 in this batch: field 'x' holds text, not a number\n" in told
    assert "batch b0 (count): row 1 of 2, failed\n" in told


def test_a_batch_as_json(story: Callable[..., Any]) -> None:
    told = story(BATCH, "1 2", "--row", "1", "--json")
    (token,) = told["rows"][0]["tokens"]
    (batch,) = token["batches"]
    assert (batch["role"], batch["ordinal"], batch["trigger"]) == ("member", 1, "count")
    assert (batch["member_count"], batch["result_count"]) == (2, 1)
    assert batch["members"][1] == token["token_id"]
    assert batch["results"] == token["joined_into"]


def test_in_a_notebook(story: Callable[..., Any], here: Path) -> None:
    story(JOIN, "1", "--row", "0")
    shown = explain(row=0)._repr_html_()
    assert "joined by <b>both</b> (require_all) of <code>" in shown
    assert "x from a, y from b" in shown
    story(BATCH, "1 2", "--row", "0")
    shown = explain(row=0)._repr_html_()
    assert "</code> at <b>sums</b> (count, completed): 2 in, 1 out" in shown
    assert "<li>row 1 of batch <code>" in shown
    assert "<li>result 1 of batch <code>" in shown
