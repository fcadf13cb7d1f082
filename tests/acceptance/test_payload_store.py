"""Large rows in real runs: interrupted and resumed, purged in between, stored where the file says."""

import json
import os
from pathlib import Path

import pytest

from elspeth import run
from elspeth.api.explain import explain
from elspeth.api.purge import purge
from elspeth.api.resume import resume
from elspeth.api.verify import verify
from elspeth.contracts.errors import LandscapeError, RunInterruptedError

PIPELINE = """
source: {{plugin: json, options: {{path: in.jsonl}}}}
transforms:
  - name: louder
    plugin: value_transform
    options: {{operations: [{{target: text, expression: "upper(row['text'])"}}]}}
    on_success: rows
aggregations:
  - {{name: hold, plugin: batch_replicate, input: rows, on_success: output, trigger: {{count: 40}}}}
sinks: {{output: {{plugin: json, options: {{path: out.jsonl}}}}}}
payload_store: {{{settings}}}
"""
ROWS = 60


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELSPETH_PAYLOAD_STORE__BASE_PATH", raising=False)
    rows = [{"id": i, "copies": 1, "text": f"row {i} " * (900 if i % 3 != 2 else 1)} for i in range(ROWS)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def write(here: Path, settings: str = "") -> Path:
    path = here / "p.yaml"
    path.write_text(PIPELINE.format(settings=settings), encoding="utf-8")
    return path


def stopped(path: Path) -> str:
    """A run that was stopped behind its first row, which is large and waits for a batch."""
    with pytest.raises(RunInterruptedError) as raised:
        run(path, stop=lambda: True)
    return raised.value.run_id


def story(run_id: str, row: int) -> object:
    told = explain(run_id, row=row).to_dict()["rows"][0]
    return [told["source"]["data"], told["source"]["hash"], [token["outcome"] for token in told["tokens"]]]


def test_a_run_goes_on_with_large_rows_that_wait(here: Path) -> None:
    path = write(here)
    whole = run(path).run_id
    expected = (here / "out.jsonl").read_bytes()
    os.remove("out.jsonl")
    again = stopped(path)
    resume(again)
    assert (here / "out.jsonl").read_bytes() == expected
    assert [story(again, row) for row in range(ROWS)] == [story(whole, row) for row in range(ROWS)]
    assert list((here / ".elspeth" / "payloads" / again).glob("*.seg"))
    assert verify().ok


def test_without_its_segments_a_run_does_not_go_on(here: Path) -> None:
    run_id = stopped(write(here))
    segments = list((here / ".elspeth" / "payloads" / run_id).glob("*.seg"))
    assert len(segments) == 1
    for segment in segments:
        segment.rename(segment.with_suffix(".away"))
    with pytest.raises(LandscapeError, match="is missing"):
        resume(run_id)
    for segment in segments:
        segment.with_suffix(".away").rename(segment)
    assert resume(run_id).rows.read == ROWS


def test_a_purged_run_does_not_go_on(here: Path) -> None:
    run_id = stopped(write(here))
    purge(run_id)
    with pytest.raises(LandscapeError, match="was purged"):
        resume(run_id)


def test_the_store_is_where_the_file_says(here: Path) -> None:
    run_id = run(write(here, "base_path: elsewhere/store, threshold_bytes: 1000")).run_id
    assert list((here / "elsewhere" / "store" / run_id).glob("*.seg"))
    assert not (here / ".elspeth" / "payloads").exists()
    assert explain(run_id, row=1).rows[0].source_data == {"id": 1, "copies": 1, "text": "row 1 " * 900}
    assert purge(run_id).runs[0].segments >= 1
    assert not (here / "elsewhere" / "store" / run_id).exists()


def test_with_a_high_threshold_all_is_in_the_database(here: Path) -> None:
    run(write(here, "threshold_bytes: 1000000"))
    assert not list(here.rglob("*.seg"))
