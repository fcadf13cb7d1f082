"""The open terminal face, driven by a pilot."""

import asyncio
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static, Tree

from elspeth.tui.app import ElspethApp, KeysScreen
from elspeth.tui.experiment import ExperimentScreen
from elspeth.tui.lineage import RunScreen

LAB = runpy.run_path(str(Path(__file__).parents[1] / "experiments" / "conftest.py"))["Lab"]


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    made = LAB(tmp_path)
    made.experiment["mode"] = "paired"
    made.rows(40).run()
    return made


def drive(database: str, act: Callable[[Pilot[None], ElspethApp], Awaitable[None]]) -> None:
    async def go() -> None:
        app = ElspethApp(database)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            await act(pilot, app)

    asyncio.run(go())


async def opened(pilot: Pilot[None], kind: type[Any]) -> Any:
    """The screen of this kind, once all of it is there: a busy machine takes more than one pause."""
    for _ in range(500):
        screen = pilot.app.screen
        if isinstance(screen, kind) and screen.query("Footer"):
            await pilot.pause()
            return screen
        await pilot.pause(0.01)
    raise AssertionError(f"no {kind.__name__} was opened")


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """What keys lead to may take longer than the press, on a busy machine."""
    for _ in range(500):
        if holds():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came to that")


def labels(node: Any) -> list[str]:
    return [str(node.label), *(text for child in node.children for text in labels(child))]


def test_runs_and_experiments_are_listed_and_searched(lab: Any) -> None:
    lab.run()

    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        runs, experiments = app.query_one("#runs", DataTable), app.query_one("#experiments", DataTable)
        await until(pilot, lambda: (runs.row_count, experiments.row_count) == (2, 1))
        await pilot.press("slash", *"nothing-like-it")
        await until(pilot, lambda: runs.row_count == 0)
        await pilot.press("escape")
        await until(pilot, lambda: runs.row_count == 2)
        assert app.query_one("#search", Input).value == ""

    drive(lab.database, act)


def test_a_rows_lineage_is_a_tree(lab: Any) -> None:
    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        await pilot.press("enter")
        await opened(pilot, RunScreen)
        await pilot.press("slash", "7", "enter")
        await pilot.pause()
        tree: Tree[None] = app.screen.query_one("#lineage", Tree)
        told = labels(tree.root)
        assert told[0].startswith("row 7  ")
        assert "branch control" in told
        assert "COMPLETED in shadow:exp-1" in told
        assert any(text.startswith("experiment exp-1: variant control, unit c7") for text in told)
        await pilot.press("slash", "9", "9", "9", "enter")
        await pilot.pause()
        assert "999" in str(tree.root.label)
        await pilot.press("escape")
        assert not isinstance(app.screen, RunScreen)

    drive(lab.database, act)


def test_an_experiment_is_drawn(lab: Any) -> None:
    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        app.push_screen(ExperimentScreen("exp-1", lab.database))
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        shown = app.export_screenshot()
        assert "better" in shown
        assert "●" in shown
        assert app.screen.query_one("#comparison", Static) is not None

    drive(lab.database, act)


def test_the_keys_are_shown(lab: Any) -> None:
    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, KeysScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, KeysScreen)

    drive(lab.database, act)


def test_a_landscape_that_is_not_there_is_said(tmp_path: Path) -> None:
    async def act(_pilot: Pilot[None], app: ElspethApp) -> None:
        assert "nowhere.db" in str(app.query_one("#problem", Static).render())

    drive(f"sqlite:///{tmp_path}/nowhere.db", act)


def test_rows_are_found_by_what_they_hold(lab: Any) -> None:
    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        await pilot.press("enter")
        await opened(pilot, RunScreen)
        await pilot.press("slash")
        app.screen.query_one("#row", Input).value = "row['size'] == 5"
        await pilot.press("enter")
        await pilot.pause()
        tree: Tree[None] = app.screen.query_one("#lineage", Tree)
        assert str(tree.root.label) == "the first 3 rows that match"
        assert [str(node.label).split()[1] for node in tree.root.children] == ["5", "18", "31"]
        for asked, said in (
            ("row['size'] == 99", "no row"),
            ("row[", "never closed"),
            ("nonsense", "nonsense"),
        ):
            await pilot.press("slash")
            app.screen.query_one("#row", Input).value = asked
            await pilot.press("enter")
            await pilot.pause()
            assert said in str(tree.root.label)

    drive(lab.database, act)


def test_a_run_that_goes_on_is_read_again(lab: Any) -> None:
    lab.execute("UPDATE runs SET status = 'running'")

    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        await pilot.press("enter")
        screen = await opened(pilot, RunScreen)
        assert "running" in str(screen.query_one("#summary", Static).render())
        lab.execute("UPDATE runs SET status = 'completed'")
        screen._tell_again()
        assert "completed" in str(screen.query_one("#summary", Static).render())
        lab.execute("UPDATE runs SET status = 'failed'")
        screen._tell_again()
        assert "completed" in str(screen.query_one("#summary", Static).render())

    drive(lab.database, act)


def test_keys_of_the_lists_do_nothing_on_other_screens(lab: Any) -> None:
    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        screen = ExperimentScreen("exp-1", lab.database)
        await app.push_screen(screen)
        await app.workers.wait_for_complete()
        await pilot.press("slash", "r", "x")
        assert app.screen is screen
        await pilot.press("question_mark")
        assert isinstance(app.screen, KeysScreen)
        await pilot.press("escape", "escape")
        assert app.screen is not screen

    drive(lab.database, act)


def test_tab_goes_from_list_to_list_and_enter_opens_what_is_there(lab: Any) -> None:
    async def act(pilot: Pilot[None], app: ElspethApp) -> None:
        await pilot.press("tab")
        await pilot.pause()
        assert app.focused is app.query_one("#experiments", DataTable)
        await pilot.press("tab")
        await pilot.pause()
        assert app.focused is app.query_one("#runs", DataTable)
        await pilot.press("tab", "enter")
        await opened(pilot, ExperimentScreen)

    drive(lab.database, act)
