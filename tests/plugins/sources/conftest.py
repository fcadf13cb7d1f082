"""Fixtures for the tests of sources."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.plugins import PluginContext, Quarantined

Drain = Callable[..., tuple[list[dict[str, Any]], list[Quarantined]]]


@pytest.fixture
def drain() -> Drain:
    """Read a source to its end: its rows, and what it quarantined."""

    def run(source: Any) -> tuple[list[dict[str, Any]], list[Quarantined]]:
        ctx = PluginContext(run_id="run-1")
        source.on_start(ctx)
        items = list(source.load(ctx))
        source.close()
        good = [item for item in items if not isinstance(item, Quarantined)]
        return good, [item for item in items if isinstance(item, Quarantined)]

    return run


@pytest.fixture
def resumes_everywhere() -> Callable[[Callable[[], Any]], int]:
    """Check that a source gives exactly the remaining items after a seek to any of its positions."""

    def run(make: Callable[[], Any]) -> int:
        ctx = PluginContext(run_id="run-1")
        whole = list(make().load(ctx))
        source = make()
        items = source.load(ctx)
        for taken in range(len(whole) + 1):
            if taken:
                next(items)
            later = make()
            later.seek(source.position())
            assert dict(later.position()) == dict(source.position())
            assert list(later.load(ctx)) == whole[taken:]
            later.close()
        source.close()
        return len(whole)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write bytes or text to a file, and give its path."""

    def write(content: bytes | str, name: str = "in.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
