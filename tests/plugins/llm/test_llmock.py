"""Against a second model server that none of us wrote, which judges its clients by its own journal."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import elspeth
from elspeth.core.landscape.database import LandscapeDB

PIPELINE = """
source: {{plugin: csv, options: {{path: rows.csv}}}}
transforms:
  - name: ask
    plugin: llm
    on_error: failed
    options:
      model: gpt-4o-mini
      base_url: {url}/v1
      api_key: sk-very-secret-key
      pool_size: 40
      prompt_template: "Say {{{{ row.text }}}}"
      initial_delay_seconds: 0.02
      max_delay_seconds: 0.2
      {more}
sinks:
  output: {{plugin: csv, options: {{path: out.csv}}}}
  failed: {{plugin: json, options: {{path: failed.jsonl}}}}
"""


class LLMock:
    """A running server; ``requests()`` is its journal, ``verdict()`` what it thinks of who called."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/_llmock/{path}", data, timeout=30) as response:
            return json.load(response)

    def is_up(self) -> bool:
        try:
            self._ask("scenario")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def script(self, *behaviors: dict[str, Any]) -> None:
        self._ask("scenario", {"behaviors": list(behaviors)})

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("requests")["requests"]
        return found

    def complaints(self) -> dict[str, str]:
        """What the server has against its client: code → in words. Short waits are the test's own doing."""
        found = self._ask("verdict")["findings"]
        return {one["code"]: one["title"] for one in found if one["code"] != "no_backoff"}


@pytest.fixture
def llmock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LLMock]]:
    """Starts the server on a free port, with faults by rate."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def start(**rates: float) -> LLMock:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = [sys.executable, "-c", "from llmock.cli import app; app()", "serve", "-p", str(port)]
            command += ["--response-style", "echo", "--log-level", "error"]
            for status, rate in rates.items():
                command += ["--error-rate", f"{status.removeprefix('http_')}={rate}"]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            stack.callback(process.terminate)
            server = LLMock(port)
            while not server.is_up():
                assert process.poll() is None
                time.sleep(0.05)
            return server

        yield start


def run(server: LLMock, rows: int, more: str = "") -> Any:
    Path("rows.csv").write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(rows)))
    Path("pipeline.yaml").write_text(PIPELINE.format(url=server.url, more=more))
    return elspeth.run("pipeline.yaml")


def recorded() -> list[tuple[str, str | None]]:
    """Status and error of every call on record."""
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with db.engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql("SELECT status, error FROM calls")]
    db.close()
    return found


def test_thirty_percent_faults_over_a_thousand_rows(llmock: Callable[..., LLMock]) -> None:
    server = llmock(http_400=0.06, http_500=0.12, http_502=0.06, http_504=0.06)
    # Those that ask for time ask for whole seconds by chance; here for less, and 20 times.
    server.script({"type": "fail", "status": 429, "times": 20, "retry_after": 0.05})
    result = run(server, 1000, "max_attempts: 4")
    # Every row is answered, or in the error sink with its reason.
    assert result.sinks["output"].rows + result.sinks["failed"].rows == 1000
    assert result.sinks["quarantine"].rows == 0
    answers = Path("out.csv").read_text().splitlines()[1:]
    # 82 rows fail by the rates, give or take 9: the server throws its own dice.
    assert len(answers) == result.sinks["output"].rows > 850
    assert all(f"Say row {line.split(',')[0]}," in line for line in answers), answers[:2]
    db = LandscapeDB.from_url("sqlite:///.elspeth/landscape.db")
    with db.engine.connect() as connection:
        reasons = [row[0] for row in connection.exec_driver_sql("SELECT reason FROM transform_errors")]
    db.close()
    kinds = Counter(json.loads(reason)["kind"] for reason in reasons)
    assert kinds.total() == result.sinks["failed"].rows
    assert set(kinds) <= {"bad_request", "server_error", "rate_limited", "overloaded"}
    # Exact accounting, against the server's own journal, by what it answered.
    seen = Counter(int(request["status"]) for request in server.requests())
    told = Counter(200 if error is None else int(json.loads(error)["status"]) for _, error in recorded())
    assert told == seen
    assert seen[200] == len(answers)
    assert seen[400] == kinds["bad_request"] > 0
    # And the server has nothing to say against how its faults were met.
    complaints = server.complaints()
    assert set(complaints) <= {"gave_up"}, complaints


def test_a_service_that_asks_for_time_is_given_it(llmock: Callable[..., LLMock]) -> None:
    server = llmock()
    server.script({"type": "fail", "status": 429, "times": 3, "retry_after": 0.3})
    result = run(server, 12)
    assert result.status == "completed"
    assert result.calls["ask"]["throttled"] == 3
    assert len(server.requests()) == 15
    assert server.complaints() == {}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "invalid_api_key", "refused_key"), (404, "model_not_found", "model_not_found"),
     (400, "context_length_exceeded", "context_too_long"), (429, "insufficient_quota", "quota_exceeded")],
)  # fmt: skip
def test_what_can_t_get_better_is_not_tried_again(
    llmock: Callable[..., LLMock], status: int, code: str, kind: str
) -> None:
    server = llmock()
    server.script({"type": "fail", "status": status, "code": code, "times": 2, "message": "no"})
    result = run(server, 6)
    assert (result.sinks["output"].rows, result.sinks["failed"].rows) == (4, 2)
    errors = [json.loads(error) for _, error in recorded() if error]
    assert [error["kind"] for error in errors] == [kind, kind]
    assert len(server.requests()) == 6
    assert "retried_non_retryable" not in server.complaints()
