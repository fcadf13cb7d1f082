"""Against a model server that none of us wrote, with chaos, and its own journal to count by."""

import json
import socket
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.plugins.llm.azure import AzureLLMTransform

SERVER = Path(__file__).parents[3] / "node_modules/@copilotkit/aimock/dist/cli.js"
RUN = "20261121T021530Z-abcdef"


class Aimock:
    """A running server. ``journal()`` is what it saw: one entry per request, with the chaos that it did."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def journal(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/__aimock/journal", timeout=30) as response:
            entries: list[dict[str, Any]] = json.load(response)
        return [entry for entry in entries if "/chat/completions" in entry["path"]]


@pytest.fixture
def aimock(tmp_path: Path) -> Iterator[Callable[..., Aimock]]:
    """Starts aimock on a free port. It is installed by ``make servers``."""
    assert SERVER.exists(), "aimock is not installed: run `make servers`"
    fixtures = tmp_path / "fixtures.json"
    answers = [{"match": {"userMessage": "Say"}, "response": {"content": "said"}}]
    fixtures.write_text(json.dumps({"fixtures": answers}))
    with ExitStack() as stack:

        def start(**chaos: float) -> Aimock:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = ["node", str(SERVER), "-p", str(port), "-f", str(fixtures), "--journal-max", "0"]
            command += [word for name, rate in chaos.items() for word in (f"--chaos-{name}", str(rate))]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            for line in process.stdout:
                if str(port) in line:
                    break
            return Aimock(port)

        yield start


def test_thirty_percent_faults_over_a_thousand_rows(
    aimock: Any, ask: Any, db: LandscapeDB, recorder: LandscapeRecorder
) -> None:
    server = aimock(drop=0.1, malformed=0.1, disconnect=0.1)
    transform = ask.transform(f"{server.url}/v1", pool_size=40, max_attempts=4)
    results = ask.feed(transform, [{"text": str(number)} for number in range(1000)], recorder)
    transform.close()
    good = [result for result in results.all() if result.status == "success"]
    bad = [result for result in results.all() if result.status == "error"]
    assert len(good) + len(bad) == 1000
    assert {result.row["llm_response"] for result in good} == {"said"}
    assert {result.reason["kind"] for result in bad} <= {
        "server_error",
        "malformed_response",
        "connection_failed",
    }
    # Exact accounting: what is on record is what the server saw.
    seen = Counter(entry["response"].get("chaosAction", "answered") for entry in server.journal())
    with db.engine.connect() as connection:
        recorded = Counter(
            status
            for (status,) in connection.exec_driver_sql("SELECT status FROM calls WHERE status IS NOT NULL")
        )
    assert recorded.total() == seen.total()
    assert recorded["success"] == seen["answered"] == len(good)


def test_too_many_requests_are_waited_out_and_azure_is_understood(aimock: Any, ask: Any) -> None:
    server = aimock(ratelimit=0.2)
    transform = AzureLLMTransform(
        {"deployment_name": "d", "endpoint": server.url, "api_key": "azure-secret", "pool_size": 4,
         "prompt_template": "Say {{ row.text }}", "output_key": "answer", "initial_delay_seconds": 0.01}
    )  # fmt: skip
    results = ask.feed(transform, [{"text": str(number)} for number in range(12)])
    transform.close()
    assert {result.row["answer"] for result in results.all()} == {"said"}
    metrics = transform.get_batch_metrics()
    assert metrics["calls"] == len(server.journal()) == 12 + metrics["throttled"]
