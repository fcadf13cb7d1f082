"""Whole pipelines with language models in them: killed and resumed, replayed, stopped by a budget."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth.contracts.errors import ConfigurationError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.fabric.governor import BudgetExceededError
from elspeth.testing.llm import Behaviour, LoopbackLLM, echo

PIPELINE = """
source: {{plugin: csv, options: {{path: rows.csv}}}}
transforms:
  - name: ask
    plugin: llm
    options:
      model: test-model
      base_url: {url}/v1
      api_key: sk-very-secret-key
      pool_size: 20
      prompt_template: "Say {{{{ row.text }}}}"
      initial_delay_seconds: 0.01
      max_delay_seconds: 0.05
      {more}
  - name: ask_again
    plugin: azure_llm
    options:
      deployment_name: d
      endpoint: {url}
      api_key: azure-secret-key
      pool_size: 20
      user_prompt_template: "Repeat: {{{{ row.llm_response }}}}"
      output_key: second
      initial_delay_seconds: 0.01
sinks:
  output: {{plugin: csv, options: {{path: out/answers.csv}}}}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)

    def make(server: LoopbackLLM, rows: int, more: str = "") -> None:
        Path("rows.csv").write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(rows)))
        Path("pipeline.yaml").write_text(PIPELINE.format(url=server.url, more=more))

    return make


def answers() -> list[str]:
    return Path("out/answers.csv").read_text().splitlines()[1:]


def expected(rows: int) -> list[str]:
    return [
        f"{n},row {n},Say row {n},test-model,stop,3,3,Repeat: Say row {n},d,stop,4,4" for n in range(rows)
    ]


def test_rows_come_out_in_source_order_and_every_call_is_counted(serve: Any, write: Any) -> None:
    server = serve(latency_s=0.002, jitter=0.9, error_rate=0.2, seed=4, retry_after="0.01")
    write(server, 200)
    result = elspeth.run("pipeline.yaml")
    assert result.status == "completed"
    assert answers() == expected(200)
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with db.engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT COUNT(*), SUM(status = 'success') FROM calls").one()
    assert tuple(count) == (server.calls, 400)
    lineage = LandscapeReader(db).token_lineage(f"{result.run_id}-7-0")
    assert {call.request for call in lineage.calls if call.status == "success"} == {
        '{"messages":[{"content":"Say row 7","role":"user"}],"model":"test-model"}',
        '{"messages":[{"content":"Repeat: Say row 7","role":"user"}],"model":"d"}',
    }
    db.close()


def test_a_killed_run_goes_on_and_pays_at_most_for_what_was_in_flight(serve: Any, write: Any) -> None:
    server = serve(latency_s=0.01)
    write(server, 300)
    command = [sys.executable, "-c", "import elspeth; elspeth.run('pipeline.yaml')"]
    with subprocess.Popen(command, env={**os.environ}) as child:
        while server.calls < 200:
            assert child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    at_death = server.calls
    result = elspeth.resume("latest", accept_changes=True)
    assert (result.status, at_death >= 200) == ("completed", True)
    assert answers() == expected(300)
    assert server.calls <= 600 + 2 * 20


def test_a_replay_needs_no_provider_and_gives_the_same(serve: Any, write: Any) -> None:
    server = serve(error_rate=0.2, seed=9, retry_after="0.01")
    write(server, 60)
    live = elspeth.run("pipeline.yaml")
    before = Path("out/answers.csv").read_bytes()
    Path("out/answers.csv").unlink()
    server.stop()
    replayed = elspeth.run("pipeline.yaml", overrides={"run_mode": "replay", "replay_from": live.run_id})
    assert Path("out/answers.csv").read_bytes() == before
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    assert LandscapeReader(db).run(replayed.run_id).run_mode == "replay"
    db.close()


def test_a_budget_stops_a_run_that_can_be_resumed(serve: Any, write: Any) -> None:
    server = serve()
    more = "max_tokens: 4\n      budget: {{max_tokens: {limit}}}"
    write(server, 50, more.format(limit=100))
    with pytest.raises(BudgetExceededError, match="the budget of 'ask' has no room"):
        elspeth.run("pipeline.yaml")
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    assert LandscapeReader(db).run("latest").status == "interrupted"
    db.close()
    write(server, 50, more.format(limit=10_000))
    before = server.calls
    assert elspeth.resume("latest", accept_changes=True).status == "completed"
    assert answers() == expected(50)
    assert server.calls == 100
    assert 0 < before < 100


def test_a_field_that_would_be_lost_is_found_before_the_first_row(serve: Any, write: Any) -> None:
    server = serve()
    write(server, 3, "response_field: text")
    text = Path("pipeline.yaml").read_text()
    declared = "{path: rows.csv, schema: {mode: flexible, fields: ['id: int', 'text: str']}}"
    Path("pipeline.yaml").write_text(text.replace("{path: rows.csv}", declared))
    with pytest.raises(
        ConfigurationError, match="transform 'ask': the answer would overwrite 'text'"
    ) as caught:
        elspeth.validate("pipeline.yaml")
    assert caught.value.problems[0].location.line == 4
    # The columns of a CSV file are known from its head ...
    Path("pipeline.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match="would overwrite 'text'"):
        elspeth.validate("pipeline.yaml")
    # ... JSON has none: there it is an error of the row, before anything is lost.
    rows = "".join(f'{{"id": {n}, "text": "row {n}"}}\n' for n in range(3))
    Path("rows.jsonl").write_text(rows + '{"id": 3}\n')
    Path("pipeline.yaml").write_text(
        text.replace("csv, options: {path: rows.csv}", "json, options: {path: rows.jsonl}")
    )
    result = elspeth.run("pipeline.yaml")
    assert (result.status, result.sinks["quarantine"].rows) == ("completed_with_failures", 4)
    (quarantined,) = Path(".elspeth").glob("quarantine*.jsonl")
    assert quarantined.read_text().count("would overwrite 'text'") == 3


@pytest.mark.parametrize(
    ("retry", "own", "made"),
    [("", "", 5), ("retry: {max_attempts: 3, initial_delay_seconds: 0}", "", 3),
     ("retry: {max_attempts: 3}", "max_attempts: 2", 2), ("", "max_attempts: 1", 1)],
)  # fmt: skip
@pytest.mark.parametrize("status", [500, 429])
def test_attempts_are_those_that_somebody_wrote_down(
    serve: Any, write: Any, retry: str, own: str, made: int, status: int
) -> None:
    server = serve(reply=(status, {"error": {"message": "no"}}))
    write(server, 1, own)
    Path("pipeline.yaml").write_text(Path("pipeline.yaml").read_text() + retry)
    result = elspeth.run("pipeline.yaml")
    assert result.status == "completed_with_failures"
    assert server.calls == (made if status == 500 else 1 + 4 * (made - 1))


def test_the_result_says_what_calls_came_to_and_a_verified_run_what_changed(serve: Any, write: Any) -> None:
    server = serve()
    write(server, 10)
    live = elspeth.run("pipeline.yaml")
    assert (live.calls["ask"]["calls"], live.calls["ask_again"]["tokens_in"]) == (10, 40)
    assert live.to_dict()["calls"]["ask"]["rows_succeeded"] == 10
    server.behaviour = Behaviour(answer=lambda body: "new" if "Say row 7" in str(body) else echo(body))
    verified = elspeth.run("pipeline.yaml", overrides={"run_mode": "verify", "replay_from": "latest"})
    assert verified.status == "completed"
    assert [drift["place"] for drift in verified.calls["ask"]["drift"]] == ["7-0-1"]
    assert verified.calls["ask_again"]["drift"][0]["changes"] == {"not_recorded": True}
