"""Long prompts and answers in real runs: outside the database, and everything that reads them still does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from elspeth import run
from elspeth.api.explain import explain
from elspeth.api.export import export
from elspeth.api.purge import purge
from elspeth.api.resume import resume
from elspeth.api.verify import verify
from elspeth.contracts.errors import RunInterruptedError, UsageError
from elspeth.testing.llm import Behaviour, LoopbackLLM

CANARY = "canary of a prompt "
PIPELINE = """
source: {{plugin: csv, options: {{path: in.csv}}}}
transforms:
  - name: ask
    plugin: llm
    options:
      {{model: m, base_url: "{url}/v1", api_key: sk-something-secret, pool_size: 4,
        prompt_template: "{{{{ row.text * 400 }}}}"}}
sinks: {{output: {{plugin: json, options: {{path: "{out}"}}}}}}
{more}
"""
ROWS = 12


@pytest.fixture
def server() -> Iterator[LoopbackLLM]:
    with LoopbackLLM(Behaviour()) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = [f"{number},{CANARY}{number}" for number in range(ROWS)]
    (tmp_path / "in.csv").write_text("\n".join(["id,text", *lines]), encoding="utf-8")
    return tmp_path


def write(here: Path, server: LoopbackLLM, out: str = "out.jsonl", more: str = "") -> Path:
    path = here / "p.yaml"
    path.write_text(PIPELINE.format(url=server.url, out=out, more=more), encoding="utf-8")
    return path


def segments(here: Path, run_id: str) -> list[Path]:
    return sorted((here / ".elspeth" / "payloads" / run_id).glob("calls-*.seg"))


def test_told_exported_replayed_verified(here: Path, server: LoopbackLLM) -> None:
    run_id = run(write(here, server)).run_id
    assert len(segments(here, run_id)) == 1
    assert sum(path.read_bytes().count(CANARY.encode()) for path in (here / ".elspeth").glob("*.db*")) < 100
    [call] = explain(run_id, row=3).rows[0].tokens[0].calls
    assert f"{CANARY}3" * 400 in (call.request or "")
    assert f"{CANARY}3" * 400 in (call.response or "")
    export(run_id, here / "export")
    exported = [json.loads(line) for line in (here / "export" / "calls.jsonl").read_text().splitlines()]
    assert len(exported) == ROWS
    assert all(CANARY * 1 in call["request"] and CANARY in call["response"] for call in exported)
    server.stop()
    again = run(write(here, server, "again.jsonl", f"run_mode: replay\nreplay_from: {run_id}"))
    assert (here / "again.jsonl").read_bytes() == (here / "out.jsonl").read_bytes()
    assert again.rows.read == ROWS
    assert verify().ok


def test_after_a_purge_everybody_says_so(here: Path, server: LoopbackLLM) -> None:
    run_id = run(write(here, server)).run_id
    made = purge(run_id).runs[0]
    assert (made.calls, segments(here, run_id)) == (ROWS, [])
    assert verify().ok
    [call] = explain(run_id, row=3).rows[0].tokens[0].calls
    assert (call.request, call.response, len(call.request_hash)) == (None, None, 64)
    before = sorted(here.rglob("*"))
    for mode in ("replay", "verify"):
        with pytest.raises(UsageError, match=f"was purged: the answers of {ROWS} calls are gone; .*{mode}"):
            run(write(here, server, "again.jsonl", f"run_mode: {mode}\nreplay_from: {run_id}"))
    assert sorted(here.rglob("*")) == before


def test_a_resume_uses_what_was_answered_unless_it_is_purged(here: Path, server: LoopbackLLM) -> None:
    path = write(here, server)

    def stopped() -> str:
        with pytest.raises(RunInterruptedError) as raised:
            run(path, stop=lambda: True)
        return raised.value.run_id

    first = stopped()
    resume(first)
    assert server.calls == ROWS
    second = stopped()
    purge(second)
    with pytest.raises(UsageError, match="was purged"):
        resume(second)


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_damage_is_found(here: Path, server: LoopbackLLM, damage: str) -> None:
    run_id = run(write(here, server)).run_id
    [segment] = segments(here, run_id)
    content = segment.read_bytes()
    if damage == "gone":
        segment.unlink()
    else:
        middle = len(content) // 2
        segment.write_bytes(
            content[:-20] if damage == "cut" else content[:middle] + b"elspeth" + content[middle + 7 :]
        )
    [finding] = verify().all_findings()
    assert (finding.table, finding.what, finding.key) == (
        "payload store", "damaged", f"segment={run_id}/{segment.name}",
    )  # fmt: skip
    assert "calls call_id=" in finding.why
