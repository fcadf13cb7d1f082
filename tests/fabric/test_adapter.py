"""Plans: what they hold, and when they are refused."""

from dataclasses import replace
from typing import Any

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.fabric.adapter import Intent, Plan, PlanRefusedError, Unit, World, check_plan, make_plan

SIZE, PLACE = "Standard_B1s", "westeurope"


def intent(count: int, **more: Any) -> Intent:
    given: dict[str, Any] = {"prices": {SIZE: 0.01, "Big": 1.0}, "cores": {SIZE: 1, "Big": 8}, **more}
    return Intent(
        "web", count, more.get("size", SIZE), PLACE, **{k: v for k, v in given.items() if k != "size"}
    )


def world(*units: Unit, **more: Any) -> World:
    return World(units, **more)


def unit(number: int, **more: Any) -> Unit:
    return Unit(f"web-{number:03d}", more.pop("size", SIZE), PLACE, **more)


def names(plan: Plan) -> tuple[list[str], list[str], list[str]]:
    return [one.name for one in plan.creates], [one.name for one in plan.changes], list(plan.deletes)


def test_a_plan_creates_changes_and_deletes_what_differs() -> None:
    plan = make_plan(intent(4), world(unit(0), unit(1, status="stopped"), unit(2, status="failed"), unit(7)))
    assert names(plan) == (["web-002", "web-003"], ["web-001"], ["web-002", "web-007"])
    assert plan.cost_per_hour == pytest.approx(0.04)
    assert plan.quota_needed == {PLACE: 1}


def test_a_fleet_that_is_as_it_should_be_has_an_empty_plan() -> None:
    plan = make_plan(intent(2), world(unit(0), unit(1)))
    assert plan.empty
    assert plan.quota_needed == {}


def test_another_size_is_a_change_another_kind_a_new_machine() -> None:
    assert names(make_plan(intent(1, size="Big"), world(unit(0)))) == ([], ["web-000"], [])
    assert names(make_plan(intent(1, spot=True), world(unit(0)))) == (["web-000"], [], ["web-000"])


@pytest.mark.parametrize(
    ("wanted", "around", "said"),
    [
        (intent(1, prices={}), world(), "nobody says what Standard_B1s costs"),
        (intent(1, cores={}), world(), "nobody says how many cores"),
        (intent(-1), world(), "fewer than no machines"),
        (intent(1), world(foreign=frozenset({"web-000"})), "already that is not of this fleet"),
    ],
)
def test_what_cannot_be_planned(wanted: Intent, around: World, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(wanted, around)


def test_a_budget_is_kept() -> None:
    for budget in (0.0, 0.019):
        with pytest.raises(PlanRefusedError, match=r"per hour, \$0.0[02] are allowed"):
            make_plan(intent(2, max_cost_per_hour=budget), world())
    assert not make_plan(intent(2, max_cost_per_hour=0.02), world()).empty


def test_the_plan_of_yesterday_is_refused() -> None:
    plan = make_plan(intent(2), world(unit(0)))
    check_plan(plan, world(unit(0)))
    for changed in (world(), world(unit(0, status="stopped")), world(unit(0), unit(5))):
        with pytest.raises(PlanRefusedError, match="the world has changed"):
            check_plan(plan, changed)


def test_a_plan_that_is_partly_done_can_go_on() -> None:
    plan = make_plan(intent(2), world(unit(0, status="stopped"), unit(4)))
    for partly in (
        world(unit(0), unit(4)),
        world(unit(0, status="stopped")),
        world(unit(0), unit(1, status="changing")),
        world(unit(0), unit(1)),
    ):
        check_plan(plan, partly)


def test_an_altered_plan_is_refused() -> None:
    plan = make_plan(intent(2), world())
    for altered in (
        replace(plan, cost_per_hour=0.0),
        replace(plan, deletes=("other",)),
        replace(plan, creates=plan.creates * 2),
    ):
        with pytest.raises(PlanRefusedError, match="altered"):
            check_plan(altered, world())
