"""Runs of the real engine hold when they are checked: forked, joined, batched, interrupted, resumed, purged."""
# ruff: noqa: E501  # pipelines read better in their own lines

from pathlib import Path
from typing import Any

import pytest

from elspeth import resume, run
from elspeth.api.prove import prove
from elspeth.api.verify import report_dict, verify, verify_proof
from elspeth.contracts.errors import RunInterruptedError

PIPELINE = """
source: {{plugin: csv, options: {{path: {home}/in.csv, schema: {{mode: fixed, fields: ["id: int", "amount: float", "note: str"]}}}}}}
gates:
  - name: large
    condition: "row['amount'] > 50"
    routes: {{"true": fork, "false": batch}}
    fork_to: [one, two]
    on_error: out
coalesce:
  - name: again
    branches: [one, two]
    policy: require_all
    merge: union
    on_success: out
aggregations:
  - {{name: batch, plugin: batch_stats, input: batch, on_success: stats, trigger: {{count: 7}}, options: {{value_field: amount}}}}
sinks:
  out: {{plugin: csv, options: {{path: {home}/out.csv}}}}
  stats: {{plugin: json, options: {{path: {home}/stats.jsonl}}}}
landscape: {{url: "{url}", anchor: {home}/heads.jsonl}}
payload_store: {{base_path: {home}/payloads, threshold_bytes: 300}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, landscape_url: str) -> Path:
    """Forks that are joined again, batches of seven, bad rows, and contents that go to the payload store."""
    lines = ["id,amount,note"]
    for number in range(400):
        amount = "many" if number % 50 == 13 else str(number % 100)
        lines.append(f"{number},{amount},{'x' * (400 if number % 20 == 0 else 5)}")
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE.format(home=tmp_path, url=landscape_url))
    return path


def test_a_whole_run_holds(pipeline: Path, landscape_url: str, tmp_path: Path) -> None:
    result = run(pipeline)
    report = verify(database=landscape_url, anchor=tmp_path / "heads.jsonl")
    assert report.all_findings() == []
    assert report.notes == []
    (checked,) = report.runs
    assert checked.run_id == result.run_id
    assert checked.tokens == sum(result.outcomes.values())
    assert report_dict(report)["runs"][0]["root"] == checked.root


def test_every_row_can_be_proved(pipeline: Path, landscape_url: str, tmp_path: Path) -> None:
    result = run(pipeline)
    for row in (0, 13, 60, 399):
        proven = prove(result.run_id, row=row, out=tmp_path / "proof.txt", database=landscape_url)
        report = verify_proof(tmp_path / "proof.txt", anchor=tmp_path / "heads.jsonl", run=result.run_id)
        assert report.ok, report.problems
        kinds = {record.kind for record in proven.proof.records}
        assert kinds >= {"run", "trace", "path"}
        assert ("join" in kinds) == (row in (60, 399))
        assert ("error" in kinds) == (row == 13)
        assert ("batch_token" in kinds) == (row in (0,))


def test_a_run_that_was_interrupted_and_resumed_holds(
    pipeline: Path, landscape_url: str, tmp_path: Path
) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(RunInterruptedError):
        run(pipeline, stop=stop)
    stopped = verify(database=landscape_url, anchor=tmp_path / "heads.jsonl")
    assert stopped.all_findings() == []
    assert stopped.runs[0].tokens < 400
    resume(database=landscape_url)
    report = verify(database=landscape_url, anchor=tmp_path / "heads.jsonl")
    assert report.all_findings() == []
    assert report.runs[0].tokens > stopped.runs[0].tokens


def test_runs_are_chained_and_others_may_write_meanwhile(pipeline: Path, landscape_url: str) -> None:
    for _ in range(3):
        run(pipeline)
    assert verify(database=landscape_url).all_findings() == []


def test_a_purge_leaves_the_proof_as_it_was(pipeline: Path, landscape_url: str, tmp_path: Path) -> None:
    from elspeth.api.purge import purge  # noqa: PLC0415

    result = run(pipeline)
    before = verify(database=landscape_url).runs[0].root
    prove(result.run_id, row=0, out=tmp_path / "proof.txt", database=landscape_url)
    purged: Any = purge(older_than="0d", database=landscape_url)
    assert purged
    report = verify(database=landscape_url, anchor=tmp_path / "heads.jsonl")
    assert report.all_findings() == []
    assert report.runs[0].root != before  # the purge itself is a leaf
    assert verify_proof(tmp_path / "proof.txt", anchor=tmp_path / "heads.jsonl").ok
    again = prove(result.run_id, row=0, database=landscape_url)
    assert "!" in str(next(record for record in again.proof.records if record.kind == "trace").values[8])
