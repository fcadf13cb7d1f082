"""What a machine cost, from what was done to it and from when it was seen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from elspeth.api.resource_life import Life, life_of
from elspeth.core.landscape.deeds import Deed, EventRecord
from elspeth.core.landscape.reading.lineage import TokenLineage
from elspeth.core.landscape.records import RunRecord

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
PRICES = {"small": 0.5, "large": 2.0}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def run(number: int) -> RunRecord:
    settings = orjson.dumps({"prices": PRICES}).decode()
    return RunRecord(
        number, f"r{number}", at(0), None, "completed", "", settings, "operation", "fleet apply rg/web", "",
        None
    )  # fmt: skip


def deed(action: str, begin: float, end: float | None, size: str = "small", outcome: str = "done") -> Deed:
    token = TokenLineage(
        "t", "vm@r", 0, None, None, None, None, at(begin), None, (), (), (), None, None, None, (), (), (), (),
        ()
    )  # fmt: skip
    facts = {"name": "vm", "size": size}
    return Deed(run(1), action, facts, at(begin), None if end is None else at(end), outcome, token)


def seen(hours: float, *machines: dict[str, Any]) -> EventRecord:
    return EventRecord("r9", "rg/web", "observed", {"machines": list(machines)}, at(hours))


def life(deeds: list[Deed], *events: EventRecord, now: float = 10) -> Life:
    return life_of("vm", deeds, events, at(now))


def test_from_the_beginning_of_its_creation_to_the_end_of_its_deletion() -> None:
    found = life([deed("create", 0, 0.1), deed("delete", 4, 4.5)])
    assert (found.status, found.hours, found.cost) == ("gone", 4.5, 2.25)


def test_one_that_runs_costs_up_to_now() -> None:
    found = life([deed("create", 0, 0.1)], now=8)
    assert (found.status, found.cost) == ("running", 4.0)
    assert found.stretches[0].until is None


def test_a_change_of_size_changes_the_price_when_it_is_done() -> None:
    found = life([deed("create", 0, 0.1), deed("change", 3, 4, "large"), deed("delete", 5, 6)])
    assert [(one.size, one.hours(at(10))) for one in found.stretches] == [("small", 4.0), ("large", 2.0)]
    assert found.cost == 4 * 0.5 + 2 * 2.0


def test_what_was_seen_stopped_is_not_billed_until_it_is_started() -> None:
    evicted = seen(2, {"name": "vm", "size": "small", "status": "deallocated"})
    found = life([deed("create", 0, 0.1), deed("change", 5, 6), deed("delete", 7, 8)], evicted)
    assert [one.hours(at(10)) for one in found.stretches] == [2.0, 2.0]


def test_what_somebody_deleted_by_hand_ended_when_that_was_seen() -> None:
    found = life([deed("create", 0, 0.1)], seen(3, {"name": "other", "size": "small", "status": "running"}))
    assert (found.status, found.hours) == ("gone", 3.0)


def test_a_creation_whose_process_died_counts_from_its_beginning_if_the_machine_is_there() -> None:
    died = deed("create", 1, None, outcome="unfinished")
    assert life([died]).status == "never"
    found = life([died], seen(3, {"name": "vm", "size": "small", "status": "running"}), now=4)
    assert (found.status, found.hours) == ("running", 3.0)


@pytest.mark.parametrize("outcome", ["failed", "unfinished"])
def test_what_did_not_happen_costs_nothing(outcome: str) -> None:
    found = life([deed("create", 0, 1, outcome=outcome)], seen(2))
    assert (found.status, found.stretches, found.cost) == ("never", (), 0)


def test_without_a_price_the_cost_is_not_known() -> None:
    found = life([deed("create", 0, 0.1, "unheard-of")])
    assert (found.cost, found.hours) == (None, 10.0)


def test_after_a_purge_the_plan_still_says_what_it_cost() -> None:
    gone = replace(deed("create", 0, 0.1), facts=None)
    unit = {"name": "vm", "size": "small", "members": 3}
    plan = EventRecord("r1", "rg/web", "planned", {"creates": [{"name": "x", "size": "large"}, unit]}, at(0))
    assert life([gone], plan, now=2).cost == 2 * 0.5 * 3


def test_a_set_costs_what_its_machines_cost() -> None:
    there = seen(1, {"name": "vm", "size": "small", "status": "running", "members": 4})
    assert life([deed("delete", 5, 6)], there).stretches[0].price == 2.0
