"""Fixtures for the tests of sinks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.plugins import Artifact, PluginContext


@pytest.fixture
def ctx() -> PluginContext:
    """One run."""
    return PluginContext(run_id="run-1")


@pytest.fixture
def fill(ctx: PluginContext) -> Callable[..., Artifact]:
    """Write batches of rows through a sink, all of which must be taken, and publish."""

    def run(sink: Any, *batches: Sequence[dict[str, Any]]) -> Artifact:
        sink.on_start(ctx)
        for batch in batches:
            assert list(sink.write(batch, ctx)) == []
        sink.flush()
        artifact = sink.publish()
        sink.close()
        return artifact

    return run


@pytest.fixture
def restores_everywhere(ctx: PluginContext) -> Callable[..., None]:
    """Check that a file sink that is cut off after any row goes on to the same bytes."""

    def run(
        make: Callable[[], Any], path: Path, rows: Sequence[dict[str, Any]], before: bytes | None = None
    ) -> None:
        def reset() -> None:
            path.unlink(missing_ok=True)
            if before is not None:
                path.write_bytes(before)

        reset()
        sink = make()
        sink.on_start(ctx)
        for row in rows:
            sink.write([row], ctx)
        expected = sink.publish()
        whole = path.read_bytes()
        for taken in range(len(rows) + 1):
            reset()
            first = make()
            first.on_start(ctx)
            for row in rows[:taken]:
                first.write([row], ctx)
            first.flush()
            position = first.position()
            for row in rows[taken:]:
                first.write([row], ctx)
            first.close()
            second = make()
            second.on_start(ctx)
            second.restore(position)
            for row in rows[taken:]:
                second.write([row], ctx)
            assert second.publish() == expected
            second.close()
            assert path.read_bytes() == whole
            assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    return run
