"""Answers of earlier runs in the place of calls: on record as such, for nothing, and by nobody's mistake."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

import elspeth
from elspeth.api.purge import purge
from elspeth.cli.main import main
from elspeth.core.landscape.database import LandscapeDB
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
      prompt_template: "Say {{{{ row.text }}}}"
      initial_delay_seconds: 0.01
      {more}
sinks:
  output: {{plugin: csv, options: {{path: answers.csv}}}}
"""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def make(server: LoopbackLLM, rows: int, more: str = "cache: true") -> None:
        Path("rows.csv").write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(rows)))
        Path("pipeline.yaml").write_text(PIPELINE.format(url=server.url, more=more))

    return make


def run(**overrides: Any) -> Any:
    return elspeth.run("pipeline.yaml", overrides=overrides)


def calls(run_id: str) -> list[tuple[Any, ...]]:
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    columns = "call_id, provider, status, cost, tokens_in, cached_from, response"
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {columns} FROM calls WHERE run_id = ? ORDER BY call_id", (run_id,)
        )
        found = [tuple(row) for row in rows]
    db.close()
    return found


def test_what_an_earlier_run_asked_is_not_asked_again_and_the_record_says_so(
    serve: Any, write: Write
) -> None:
    server = serve()
    write(server, 50)
    first = run()
    before = Path("answers.csv").read_bytes()
    write(server, 60)
    second = run()
    assert (server.calls, second.calls["ask"]["calls"], second.calls["ask"]["calls_cached"]) == (60, 10, 50)
    assert Path("answers.csv").read_bytes().startswith(before)
    made = {call[0]: call for call in calls(first.run_id)}
    cached = [call for call in calls(second.run_id) if call[5] is not None]
    assert len(cached) == 50
    for _, provider, status, cost, tokens, source, response in cached:
        assert (provider, status, cost, tokens) == ("openai (cached)", "success", 0, None)
        assert response == made[source][6]
    # A third run has the answers of both, none of them from a call that was not made.
    third = run()
    assert server.calls == 60
    assert {call[5] for call in calls(third.run_id)} <= made.keys() | {
        call[0] for call in calls(second.run_id) if call[5] is None
    }


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_people_see_what_was_not_asked(
    serve: Any, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    server = serve()
    write(server, 3)
    first = run()
    run()
    assert "3 from the cache" in said(capsys, "run", "pipeline.yaml")
    (line,) = [
        line for line in said(capsys, "runs", "show", "latest", "--calls").splitlines() if "(cached)" in line
    ]
    assert line.split()[:6] == ["openai", "(cached)", "success", "3", "0", "0"]
    story = said(capsys, "explain", "latest", "--row", "1")
    assert f"not made: the answer of {first.run_id}-1-0-1.1-call-0" in " ".join(story.split())
    assert "answer: 'Say row 1'" in story
    told = orjson.loads(said(capsys, "explain", "latest", "--row", "1", "--json"))
    assert f'"cached_from":"{first.run_id}-1-0-1.1-call-0"' in orjson.dumps(told).decode()


def test_a_run_with_cached_answers_is_replayed_like_any_other(serve: Any, write: Write) -> None:
    server = serve()
    write(server, 20)
    run()
    second = run()
    before = Path("answers.csv").read_bytes()
    server.stop()
    replayed = run(run_mode="replay", replay_from=second.run_id)
    assert Path("answers.csv").read_bytes() == before
    assert {call[1] for call in calls(replayed.run_id)} == {"openai (replayed)"}


def test_another_prompt_address_or_age_is_another_request(serve: Any, write: Write) -> None:
    server, other = serve(), serve()
    write(server, 5)
    run()
    write(server, 5, "cache: true\n      temperature: 0.5")
    run()
    assert server.calls == 10
    write(other, 5)
    run()
    assert other.calls == 5
    write(server, 5, "cache: {max_age_days: 0.0000001}")
    run()
    assert server.calls == 15
    write(server, 5, "cache: false")
    run()
    assert server.calls == 20
    write(server, 5, "cache: {refresh: true}")
    server.behaviour = Behaviour(answer=lambda body: f"new: {echo(body)}")
    run()
    write(server, 5)
    run()
    assert server.calls == 25
    assert "new: Say row 0" in Path("answers.csv").read_text()


def test_the_same_request_within_a_run_is_made_each_time(serve: Any, write: Write) -> None:
    """What is asked twice gets two answers, whatever the order of completion: a cache is for later runs."""
    server = serve()
    write(server, 4)
    Path("rows.csv").write_text("id,text\n1,same\n2,same\n3,same\n")
    run()
    assert server.calls == 3


def test_failures_and_answers_of_no_use_are_asked_for_again(serve: Any, write: Write) -> None:
    server = serve(answer=lambda body: "no JSON")
    more = "cache: true\n      output_fields: {team: str}\n      repair_turns: 0"
    write(server, 4, more)
    assert run().status == "completed_with_failures"
    server.behaviour = Behaviour(reply=(400, {"error": {"message": "bad"}}))
    assert run().status == "completed_with_failures"
    server.behaviour = Behaviour(answer=lambda body: '{"team": "a"}')
    assert run().status == "completed"
    assert server.calls == 12
    assert run().calls["ask"]["calls_cached"] == 4


def test_a_corrected_answer_is_found_with_its_correction(serve: Any, write: Write) -> None:
    server = serve(answer=lambda body: "no JSON" if len(body["messages"]) < 3 else '{"team": "a"}')
    write(server, 4, "cache: true\n      output_fields: {team: str}\n      structured: json_schema")
    run()
    assert server.calls == 8
    second = run()
    # The first answer was of no use and is asked for again; the second is the one on record.
    assert (server.calls, second.calls["ask"]["calls_cached"]) == (12, 4)


def test_cached_answers_cost_nothing_of_a_budget(serve: Any, write: Write) -> None:
    server = serve()
    more = "cache: true\n      max_tokens: 5\n      budget: {max_tokens: 2000}"
    write(server, 20, more)
    run()
    write(server, 20, more.replace("2000", "1"))
    assert run().status == "completed"
    assert server.calls == 20


def test_two_processes_may_fill_and_use_one_cache(serve: Any, write: Write) -> None:
    server = serve(latency_s=0.002)
    write(server, 80)
    text = Path("pipeline.yaml").read_text()
    for number in range(2):
        Path(f"{number}.yaml").write_text(text.replace("answers.csv", f"answers{number}.csv"))
    with ThreadPoolExecutor(2) as both:
        results = list(both.map(elspeth.run, ["0.yaml", "1.yaml"]))
    assert [result.status for result in results] == ["completed", "completed"]
    assert Path("answers0.csv").read_bytes() == Path("answers1.csv").read_bytes()
    cached = sum(result.calls["ask"]["calls_cached"] for result in results)
    assert server.calls + cached == 160
    assert run().calls["ask"]["calls"] == 0


def test_what_was_purged_is_asked_for_again(serve: Any, write: Write) -> None:
    server = serve()
    write(server, 5)
    run()
    purge("latest")
    assert run().calls["ask"]["calls"] == 5
