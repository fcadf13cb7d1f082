"""Transforms that fail for a while: every attempt is on record, and the last one counts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth.contracts.errors import RetryableError
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.plugins.registry import PluginCatalog
from elspeth.plugins.transforms.base import BaseTransform

Answer = Callable[[Row, int], TransformResult]


class Flaky(BaseTransform):
    """Answers as a test tells it to, by row and attempt."""

    name = "flaky"
    answer: Answer

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        return type(self).answer(row, ctx.attempt)


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, **retry: Any) -> Mapping[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Flaky, "answer", staticmethod(answer), raising=False)
    original = PluginCatalog.transform
    monkeypatch.setattr(
        PluginCatalog, "transform", lambda self, name: Flaky if name == "flaky" else original(self, name)
    )
    Path("in.csv").write_text("id\n1\n2\n3\n")
    settings = {"max_attempts": 3, "initial_delay_seconds": 0, "max_delay_seconds": 0, **retry}
    Path("p.yaml").write_text(
        "source: {plugin: csv, options: {path: in.csv}}\n"
        "transforms: [{name: shaky, plugin: flaky}]\n"
        "sinks: {output: {plugin: csv, options: {path: out.csv}}}\n"
        f"retry: {settings}\n"
    )
    return elspeth.run("p.yaml").to_dict()


def states(row: int) -> list[tuple[str, int, str, int]]:
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    try:
        (token,) = LandscapeReader(db).row_lineage("latest", row).tokens
        assert all(state.completed_at >= state.started_at for state in token.states if state.completed_at)
        return [(state.node_id, state.attempt, state.status, state.step_index) for state in token.states]
    finally:
        db.close()


def test_a_row_that_works_the_second_time_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(row: Row, attempt: int) -> TransformResult:
        if row["id"] == 2 and attempt < 2:
            return TransformResult.error("busy", retryable=True)
        return TransformResult.success({**row, "tried": attempt})

    result = run(tmp_path, monkeypatch, answer)
    assert result["outcomes"] == {"COMPLETED": 3}
    assert Path("out.csv").read_text() == "id,tried\n1,1\n2,2\n3,1\n"
    assert states(1) == [
        ("source", 1, "completed", 0),
        ("shaky", 1, "failed", 1),
        ("shaky", 2, "completed", 1),
        ("output", 1, "completed", 2),
    ]
    assert states(2)[1] == ("shaky", 1, "completed", 1)


@pytest.mark.parametrize("error", [RetryableError("busy"), ConnectionError("reset"), TimeoutError("slow")])
def test_what_may_pass_is_tried_again_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def answer(row: Row, attempt: int) -> TransformResult:
        if row["id"] == 1:
            raise error
        return TransformResult.success(row)

    result = run(tmp_path, monkeypatch, answer)
    assert result["outcomes"] == {"COMPLETED": 2, "QUARANTINED": 1}
    assert [state[1:3] for state in states(0)[1:4]] == [(1, "failed"), (2, "failed"), (3, "failed")]
    assert result["sinks"]["quarantine"]["rows"] == 1


def test_every_attempt_has_its_reason_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, lambda row, attempt: TransformResult.error(f"no {attempt}", retryable=True))
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    errors = [error for error in LandscapeReader(db).errors("latest") if error.row_id.endswith("-0")]
    db.close()
    assert [(error.reason["error"], error.destination) for error in errors] == [
        ("no 1", "retry"),
        ("no 2", "retry"),
        ("no 3", "quarantine"),
    ]


def test_one_attempt_means_no_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def answer(row: Row, attempt: int) -> TransformResult:
        seen.append(attempt)
        return TransformResult.error("busy", retryable=True)

    run(tmp_path, monkeypatch, answer, max_attempts=1)
    assert seen == [1, 1, 1]


def test_an_error_that_will_not_pass_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def answer(row: Row, attempt: int) -> TransformResult:
        seen.append(attempt)
        return TransformResult.error("never")

    run(tmp_path, monkeypatch, answer)
    assert seen == [1, 1, 1]


def test_a_retried_row_may_become_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(row: Row, attempt: int) -> TransformResult:
        if attempt == 1:
            return TransformResult.error("busy", retryable=True)
        return TransformResult.expand([{"id": row["id"], "part": part} for part in range(2)])

    result = run(tmp_path, monkeypatch, answer)
    assert result["outcomes"] == {"COMPLETED": 6, "EXPANDED": 3}
    assert states_of_parts(0) == [{"id": 1, "part": 0}, {"id": 1, "part": 1}]


def states_of_parts(row: int) -> list[Any]:
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    try:
        tokens = LandscapeReader(db).row_lineage("latest", row).tokens
        return [token.start_data for token in tokens[1:]]
    finally:
        db.close()
