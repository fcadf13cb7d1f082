"""A model server on loopback, transforms on it, and somewhere for their results to go."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts import PluginContext, TokenInfo, TransformResult
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.plugins.llm.transform import LLMTransform
from elspeth.testing.llm import Behaviour, LoopbackLLM

RUN = "20261121T021530Z-abcdef"


class Results:
    """An output that keeps what is emitted, and who emitted what twice."""

    def __init__(self) -> None:
        self.by_token: dict[str, TransformResult | BaseException] = {}
        self.twice: list[str] = []
        self._lock = threading.Lock()

    def emit(self, token: Any, result: TransformResult | BaseException) -> None:
        with self._lock:
            if token.token_id in self.by_token:
                self.twice.append(token.token_id)
            self.by_token[token.token_id] = result

    def __getitem__(self, number: int) -> Any:
        return self.by_token[f"{RUN}-{number}-0"]

    def all(self) -> list[Any]:
        return [self[number] for number in range(len(self.by_token))]


class Asked:
    """Puts rows through a transform and waits for all of them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def transform(self, server: LoopbackLLM | str, **options: Any) -> LLMTransform:
        base = server if isinstance(server, str) else f"{server.url}/v1"
        defaults = {
            "model": "test-model", "base_url": base, "api_key": "sk-very-secret-key",
            "prompt_template": "Say {{ row.text }}", "initial_delay_seconds": 0.01, "max_delay_seconds": 0.05,
        }  # fmt: skip
        if "queries" in options:
            del defaults["prompt_template"]
        made = LLMTransform(defaults | options)
        made.node_id = "ask"
        self._stack.callback(made.close)
        return made

    def feed(
        self, transform: Any, rows: list[dict[str, Any]], recorder: Any = None, *, run_id: str = RUN
    ) -> Results:
        results = Results()
        transform.connect_output(results, max_pending=8 * transform.pool_size)
        for number, row in enumerate(rows):
            transform.accept(row, context(number, recorder, run_id=run_id))
        transform.flush(60)
        assert results.twice == []
        return results

    def __call__(self, server: LoopbackLLM | str, rows: list[dict[str, Any]], **options: Any) -> Results:
        return self.feed(self.transform(server, **options), rows)


def context(number: int, recorder: Any = None, *, run_id: str = RUN, attempt: int = 1) -> PluginContext:
    token = TokenInfo(f"{RUN}-{number}", f"{RUN}-{number}-0")
    state_id = f"{run_id}-{number}-0-1.{attempt}"
    return PluginContext(
        token=token, landscape=recorder, run_id=run_id, node_id="ask", state_id=state_id, attempt=attempt
    )


def texts(count: int) -> list[dict[str, Any]]:
    return [{"text": f"row {number}"} for number in range(count)]


@pytest.fixture
def serve() -> Iterator[Callable[..., LoopbackLLM]]:
    """Starts a server with the behaviour that is named."""
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(LoopbackLLM(Behaviour(**behaviour)))


@pytest.fixture
def server(serve: Callable[..., LoopbackLLM]) -> LoopbackLLM:
    return serve()


@pytest.fixture
def ask(serve: Callable[..., LoopbackLLM]) -> Iterator[Asked]:
    """Transforms that are closed before the servers end."""
    with ExitStack() as stack:
        yield Asked(stack)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LandscapeDB]:
    found = LandscapeDB.from_url(f"sqlite:///{tmp_path / 'landscape.db'}")
    yield found
    found.close()


@pytest.fixture
def recorder(db: LandscapeDB) -> LandscapeRecorder:
    return LandscapeRecorder(db)
