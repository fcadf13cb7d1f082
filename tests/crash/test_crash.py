"""Killed at every point that matters, a run goes on as if nothing had happened.

The control at the end breaks the order of commit on purpose: these tests must notice.
"""

import random
from typing import Any

import pytest

from elspeth.contracts.errors import UsageError

POINTS = [
    ("run.begun", 1),
    ("run.ready", 1),
    ("transform", 1),
    ("transform", 450),
    ("commit.begin", 1),
    ("commit.begin", 4),
    ("sinks.written", 1),
    ("sinks.written", 5),
    ("sinks.flushed", 1),
    ("sinks.flushed", 6),
    ("commit.end", 1),
    ("commit.end", 7),
    ("rows.read", 1),
    ("publish.begin", 1),
    ("sink.published", 1),
    ("sink.published", 2),
    ("publish.end", 1),
]
"""Where a run is killed, and at which passage."""

LATER = {
    ("transform", 1),
    ("sinks.written", 1),
    ("sinks.flushed", 1),
    ("commit.end", 1),
    ("sink.published", 2),
}
"""Much like another of the same name: these are for `make soak`."""


@pytest.mark.parametrize(
    ("point", "count"),
    [pytest.param(*at, marks=pytest.mark.soak if at in LATER else ()) for at in POINTS],
)
def test_killed_and_resumed_is_as_if_never_killed(
    files: Any, undisturbed: dict[str, Any], point: str, count: int
) -> None:
    assert files.kill(point, count) != 0
    files.resume()
    assert files.outcome() == undisturbed["files"]


@pytest.mark.parametrize(
    ("point", "count"), [("sinks.flushed", 6), ("commit.begin", 4), ("sink.published", 1)]
)
def test_a_table_is_filled_once(table: Any, undisturbed: dict[str, Any], point: str, count: int) -> None:
    assert table.kill(point, count) != 0
    table.resume()
    assert table.outcome() == undisturbed["table"]


@pytest.mark.parametrize("count", [1, 300])
def test_sigterm_ends_a_run_so_that_it_can_go_on(files: Any, undisturbed: dict[str, Any], count: int) -> None:
    assert files.kill("transform", count, "SIGTERM") == 1
    files.resume()
    assert files.outcome() == undisturbed["files"]


def test_killed_again_and_again(files: Any, undisturbed: dict[str, Any]) -> None:
    files.kill("commit.end", 3)
    for _ in range(3):
        assert files.kill_resume("sinks.flushed", 3) != 0
    files.resume()
    assert files.outcome() == undisturbed["files"]


def test_after_the_end_there_is_nothing_to_resume(files: Any, undisturbed: dict[str, Any]) -> None:
    files.kill("run.end", 1)
    with pytest.raises(UsageError, match="is complete"):
        files.resume()
    assert files.outcome() == undisturbed["files"]


@pytest.mark.parametrize("point", ["sinks.flushed", "commit.end"])
def test_the_control_is_caught(files: Any, undisturbed: dict[str, Any], point: str) -> None:
    """With the trail written before the sinks, rows are lost; who does not notice that is blind."""
    files.kill(point, 6, broken=True)
    files.resume()
    assert files.outcome().files != undisturbed["files"].files


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_random_five_hundred_times(files: Any, undisturbed: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    kills = 0
    while kills < 50:
        files.start_over()
        code = files.kill(chance.choice(POINTS)[0], chance.randrange(1, 12))
        while code != 0 and chance.random() < 0.6:
            kills += 1
            code = files.kill_resume(chance.choice(POINTS)[0], chance.randrange(1, 8))
        if code != 0:
            kills += 1
            files.resume()
        assert files.outcome() == undisturbed["files"], f"after {kills} kills"
