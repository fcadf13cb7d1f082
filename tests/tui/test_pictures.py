"""What the screens look like, held by pictures; to renew them: ``pytest tests/tui --snapshot-update``.

The runs are made with a clock that ticks a microsecond each time it is read, so that times and ids are
the same everywhere.
"""

import runpy
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from elspeth.core.clock import Clock
from elspeth.tui.app import ElspethApp

LAB = runpy.run_path(str(Path(__file__).parents[1] / "experiments" / "conftest.py"))["Lab"]
SIZE = (120, 40)


class Ticking(Clock):
    """A clock whose times depend on nothing but how often it was read."""

    def __init__(self) -> None:
        super().__init__()
        ticks = count(0, 1000)
        self.ns = lambda: next(ticks)
        self.epoch_ns = 1_790_000_000_000_000_000


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ElspethApp:
    """The application over three runs, two of them with an experiment."""
    made = iter(range(10))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("elspeth.api.run.Clock", Ticking)
    monkeypatch.setattr("elspeth.api.run.SystemRandom", lambda: Random(next(made)))
    lab = LAB(tmp_path)
    lab.experiment["metrics"] += [
        {"name": "size", "value": "row['size'] + (row['label'] == 'spam')", "goal": "decrease"},
        {"name": "flags", "value": "row['label'] == 'spam'", "type": "proportion",
         "guardrail": {"max_increase": "20%"}},
    ]  # fmt: skip
    lab.rows(300).run()
    lab.experiment.update(experiment_id="exp-2", name="Two rules, paired", mode="paired")
    lab.rows(120).run()
    del lab.pipeline["experiment"]
    lab.rows(3).run()
    return ElspethApp(lab.database)


async def settled(pilot: Any) -> None:
    """What is read on threads is there."""
    while not pilot.app.screen.query("Footer, #keys"):
        await pilot.pause(0.01)
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def test_the_runs(app: ElspethApp, snap_compare: Any) -> None:
    assert snap_compare(app, terminal_size=SIZE, run_before=settled)


def test_the_runs_searched(app: ElspethApp, snap_compare: Any) -> None:
    assert snap_compare(app, press=["slash", *"nkxx"], terminal_size=SIZE, run_before=settled)


def test_a_rows_lineage(app: ElspethApp, snap_compare: Any) -> None:
    async def act(pilot: Any) -> None:
        await pilot.press("down", "enter")
        await settled(pilot)
        await pilot.press("slash", "7", "enter")
        await settled(pilot)

    assert snap_compare(app, terminal_size=SIZE, run_before=act)


def test_the_experiments(app: ElspethApp, snap_compare: Any) -> None:
    assert snap_compare(app, press=["tab"], terminal_size=SIZE, run_before=settled)


@pytest.mark.parametrize("experiment_id", ["exp-1", "exp-2"])
def test_an_experiment_with_its_intervals(app: ElspethApp, snap_compare: Any, experiment_id: str) -> None:
    async def act(pilot: Any) -> None:
        from elspeth.tui.experiment import ExperimentScreen  # noqa: PLC0415

        await pilot.app.push_screen(ExperimentScreen(experiment_id, app.database))
        await settled(pilot)

    assert snap_compare(app, terminal_size=SIZE, run_before=act)


def test_the_keys(app: ElspethApp, snap_compare: Any) -> None:
    assert snap_compare(app, press=["question_mark"], terminal_size=SIZE, run_before=settled)
