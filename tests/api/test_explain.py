"""explain: any row's story, by index, id, token, content or sink."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from elspeth.api.database import default_database_url
from elspeth.api.explain import Explanation, explain
from elspeth.contracts.errors import ElspethError, ExpressionError, NotFoundError, UsageError
from elspeth.core.landscape.database import LandscapeDB

RUN = "20261121T021530Z-abcdef"


@pytest.fixture
def database(landscape_url: str, record_orders: Callable[..., Any]) -> str:
    db = LandscapeDB.from_url(landscape_url)
    record_orders(db, RUN)
    db.close()
    return landscape_url


@pytest.fixture
def small(sqlite_url: str, record_orders: Callable[..., Any]) -> str:
    """The same in SQLite only, where the database makes no difference."""
    db = LandscapeDB.from_url(sqlite_url)
    record_orders(db, RUN)
    db.close()
    return sqlite_url


def rows(explanation: Explanation) -> list[int]:
    return [row.row_index for row in explanation.rows]


def test_a_moved_row_as_json(database: str) -> None:
    told = explain(row=0, database=database).to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["run"]["run_id"] == RUN
    assert told["run"]["duration_s"] == pytest.approx(2.0)
    (row,) = told["rows"]
    assert row["row_id"] == f"{RUN}-0"
    assert row["source"]["plugin"] == "source_plugin"
    assert row["source"]["data"]["amt"] == {"$elspeth": ["decimal", "12.50"]}
    (token,) = row["tokens"]
    assert (token["outcome"], token["sink"]) == ("ROUTED", "approved")
    assert token["artifact"] == {"path": "out/approved.csv", "sha256": "ab" * 32, "bytes": 120, "rows": 3}
    tidy, gate, sink = token["steps"]
    assert [step["node_id"] for step in token["steps"]] == ["tidy", "large", "approved"]
    assert tidy["changes"] == {
        "added": {"amount": {"$elspeth": ["decimal", "12.50"]}},
        "changed": {"note": {"from": None, "to": "ok"}},
        "removed": {"amt": {"$elspeth": ["decimal", "12.50"]}},
    }
    assert tidy["duration_ms"] == 0.01
    assert gate["decision"]["reason"] == {"condition": "row['amount'] > 1000", "result": "false"}
    assert gate["decision"]["destinations"] == [
        {
            "to": "approved",
            "label": "false",
            "mode": "move",
            "edge_id": f"{RUN}/large/false/approved",
            "token_id": f"{RUN}-0-0",
            "ended": [{"token_id": f"{RUN}-0-0", "outcome": "ROUTED", "sink": "approved"}],
        }
    ]
    assert sink["decision"] is None


def test_a_fork_tells_what_else_happened(database: str) -> None:
    told = explain(RUN, token=f"{RUN}-1-1", database=database).to_dict()
    assert told["token_id"] == f"{RUN}-1-1"
    (root,) = told["rows"][0]["tokens"]
    assert (root["outcome"], root["sink"], root["artifact"]) == ("FORKED", None, None)
    decision = root["steps"][-1]["decision"]
    assert [(way["to"], way["mode"], way["ended"]) for way in decision["destinations"]] == [
        ("review", "copy", [{"token_id": f"{RUN}-1-1", "outcome": "COMPLETED", "sink": "review"}]),
        ("tidy2", "copy", [{"token_id": f"{RUN}-1-2", "outcome": "COMPLETED", "sink": "archive"}]),
    ]
    review, again = root["children"]
    assert (review["branch"], review["parents"], review["artifact"]) == ("review", [f"{RUN}-1-0"], None)
    assert review["fork_group_id"] == again["fork_group_id"] == f"{RUN}-1-0-fork"
    assert again["steps"][0]["changes"]["added"] == {"big": {"$elspeth": ["int", str(2**60)]}}


def test_errors_are_told_with_reason_and_destination(database: str) -> None:
    quarantined, failed = (explain(row=index, database=database).to_dict() for index in (3, 4))
    (token,) = quarantined["rows"][0]["tokens"]
    assert token["outcome"] == "QUARANTINED"
    assert token["errors"][0]["reason"] == {"error": "amt: 'many' is not a decimal"}
    (token,) = failed["rows"][0]["tokens"]
    assert [(step["node_id"], step["attempt"], step["status"]) for step in token["steps"]] == [
        ("tidy", 1, "failed"),
        ("tidy", 2, "failed"),
        ("failures", 1, "completed"),
    ]
    assert (token["outcome"], token["errors"][0]["destination"]) == ("FAILED", "failures")


def test_rows_are_found_by_content_and_by_sink(database: str) -> None:
    assert rows(explain(where="row['amt'] == 2000", database=database)) == [1, 2]
    assert rows(explain(sink="approved", database=database)) == [0, 5]
    assert rows(explain(sink="archive", where="row['id'] > 1", database=database)) == [2]
    first = explain(sink="archive", limit=1, database=database)
    assert (rows(first), first.more) == ([1], True)


def test_a_row_may_be_named_by_its_id(small: str) -> None:
    assert rows(explain(row=f"{RUN}-2", database=small)) == rows(explain(row="2", database=small)) == [2]


@pytest.mark.parametrize(
    ("question", "kind", "text"),
    [
        ({}, UsageError, "say which row is meant\n  fix: give one of --row N"),
        ({"row": 1, "token": "x"}, UsageError, "row and token can't be combined"),
        ({"row": 1, "sink": "review"}, UsageError, "row and where/sink can't be combined"),
        ({"sink": "review", "limit": 0}, UsageError, "the limit must be 1 or more, it is 0"),
        ({"row": 6}, NotFoundError, f"run {RUN} has no row 6\n  fix: its rows are 0 to 5"),
        ({"row": -1}, NotFoundError, "has no row -1"),
        ({"row": "x-1"}, NotFoundError, "has no row 'x-1'\n  fix: give the row's index"),
        (
            {"run": "nope", "row": 0},
            NotFoundError,
            f"there is no run 'nope'\n  fix: the newest runs are {RUN}",
        ),
        ({"run": RUN[:-1], "row": 0}, NotFoundError, f"did you mean {RUN}?"),
        ({"token": f"{RUN}-9-0"}, NotFoundError, f"there is no token '{RUN}-9-0'"),
        (
            {"token": "what"},
            NotFoundError,
            "there is no token 'what'\n  fix: token ids look like RUN-ROW-TOKEN",
        ),
        ({"run": "other", "token": f"{RUN}-1-0"}, NotFoundError, f"it belongs to run {RUN}"),
        ({"sink": "reviews"}, NotFoundError, "has no sink 'reviews'\n  fix: did you mean review?"),
        ({"sink": "zzz"}, NotFoundError, "its sinks are review, archive, approved, failures, quarantine"),
        ({"where": "row['id'] == 77"}, NotFoundError, f"no row of run {RUN} matches row['id'] == 77"),
        ({"where": "row['id'] == 1", "sink": "approved"}, NotFoundError, "and ended in 'approved'"),
        ({"where": "row['typo'] == 1"}, NotFoundError, "it failed on 6 rows, first with: "),
        ({"where": "import os"}, ExpressionError, ""),
    ],
)
def test_a_question_without_an_answer_gets_a_reason(
    small: str, question: dict[str, Any], kind: type[ElspethError], text: str
) -> None:
    with pytest.raises(kind) as caught:
        explain(**question, database=small)
    assert text in str(caught.value)


def test_html_shows_the_story_and_escapes_what_came_from_data(small: str) -> None:
    html = explain(token=f"{RUN}-1-1", database=small)._repr_html_()
    assert f"<mark><code>{RUN}-1-1</code></mark>" in html
    assert "COMPLETED in <b>review</b>" in html
    assert "&gt; 1000" in html
    assert "> 1000" not in html.replace("&gt; 1000", "")
    assert "out/approved.csv" in explain(row=0, database=small)._repr_html_()
    assert "is not a decimal" in explain(row=3, database=small)._repr_html_()


def test_the_default_database_is_in_the_environment_or_here(
    small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_database_url({}) == "sqlite:///.elspeth/landscape.db"
    assert default_database_url({"ELSPETH_LANDSCAPE__URL": ""}) == "sqlite:///.elspeth/landscape.db"
    monkeypatch.setenv("ELSPETH_LANDSCAPE__URL", small)
    assert default_database_url() == small
    assert rows(explain(row=0)) == [0]
