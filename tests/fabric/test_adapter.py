"""Plans: what they hold, and when they are refused."""

from dataclasses import replace
from typing import Any

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.fabric.adapter import (
    Intent,
    Market,
    NoRoomError,
    Offer,
    Plan,
    PlanRefusedError,
    Quote,
    Unit,
    World,
)
from elspeth.fabric.planning import check_plan, make_plan, plan_from, remaining

SIZE, PLACE = "Standard_B1s", "westeurope"
HERE, BIG, THERE = Offer(PLACE, SIZE), Offer(PLACE, "Big"), Offer("northeurope", SIZE)
PRICES = {SIZE: 0.01, "Big": 1.0}


def intent(count: int, *offers: Offer, **more: Any) -> Intent:
    return Intent("web", count, offers or (HERE,), more.pop("prices", PRICES), **more)


def world(*units: Unit, **more: Any) -> World:
    return World(units, **more)


def unit(number: int, **more: Any) -> Unit:
    return Unit(f"web-{number:03d}", more.pop("size", SIZE), more.pop("location", PLACE), **more)


def market(**left: int) -> Market:
    """Cores that are left, by region; every size is in a family of its own that has room."""
    cores = {SIZE: 1, "Big": 8}
    places = {PLACE: left.get(PLACE, 100), "northeurope": left.get("northeurope", 100)}
    quotes = {
        Offer(place, size): Quote(number, (f"{place} cores", f"{place} {size}"))
        for place in places
        for size, number in cores.items()
    }
    quotas = {f"{place} {size}": (0, 100) for place in places for size in cores}
    return Market(quotes, quotas | {f"{place} cores": (100 - room, 100) for place, room in places.items()})


def names(plan: Plan) -> tuple[list[str], list[str], list[str]]:
    return [one.name for one in plan.creates], [one.name for one in plan.changes], list(plan.deletes)


def planned(wanted: Intent, around: World | None = None, **left: int) -> Plan:
    return make_plan(wanted, around or world(), market(**left))


def test_a_plan_creates_changes_and_deletes_what_differs() -> None:
    plan = planned(intent(4), world(unit(0), unit(1, status="stopped"), unit(2, status="failed"), unit(7)))
    assert names(plan) == (["web-002", "web-003"], ["web-001"], ["web-002", "web-007"])
    assert plan.cost_per_hour == pytest.approx(0.04)
    assert plan.quota_needed == {f"{PLACE} {SIZE}": 2, f"{PLACE} cores": 2}


def test_a_fleet_that_is_as_it_should_be_has_an_empty_plan() -> None:
    plan = planned(intent(2), world(unit(0), unit(1)), **{PLACE: 0})
    assert plan.empty
    assert plan.quota_needed == {}
    assert plan.fallbacks == ()


def test_another_size_is_a_change_another_kind_or_place_a_new_machine() -> None:
    around = world(unit(0))
    grown = planned(intent(1, BIG), around)
    assert names(grown) == ([], ["web-000"], [])
    assert grown.quota_needed == {f"{PLACE} Big": 8, f"{PLACE} cores": 7}
    assert names(planned(intent(1, spot=True), around)) == (["web-000"], [], ["web-000"])
    assert names(planned(intent(1, THERE), around)) == (["web-000"], [], ["web-000"])


def test_a_machine_that_stands_at_a_fall_back_stays_there() -> None:
    assert planned(intent(1, HERE, BIG, THERE), world(unit(0, location="northeurope"))).empty


def test_what_has_no_room_goes_to_the_next_offer_and_the_plan_says_where_else_it_may() -> None:
    plan = planned(intent(3, HERE, THERE), **{PLACE: 2})
    assert [one.offer for one in plan.creates] == [HERE, HERE, THERE]
    assert plan.fallbacks == (HERE, THERE)
    with pytest.raises(
        NoRoomError, match=r"1 more of westeurope cores are needed, and 98 of 100 are in use, 2"
    ):
        planned(intent(4, HERE, THERE), **{PLACE: 2, "northeurope": 1})


def test_what_is_not_known_is_refused() -> None:
    nowhere = Offer("atlantis", SIZE)
    with pytest.raises(NoRoomError, match="Standard_B1s in atlantis: nothing is known of it"):
        planned(intent(1, nowhere))
    plan = planned(intent(1, nowhere, HERE))
    assert plan.left_out == ((nowhere, "nothing is known of it"),)
    assert plan.fallbacks == (HERE,)
    blind = Market({HERE: Quote(1, ("cores",))}, {})
    with pytest.raises(NoRoomError, match="nothing is known of its quota cores"):
        make_plan(intent(1), world(), blind)
    restricted = Market({HERE: Quote(1, ("cores",), "not for this subscription")}, {"cores": (0, 10)})
    with pytest.raises(NoRoomError, match="not for this subscription"):
        make_plan(intent(1), world(), restricted)


def test_cores_of_what_is_deleted_are_free_again() -> None:
    assert not planned(intent(1), world(unit(0, status="failed")), **{PLACE: 0}).empty


@pytest.mark.parametrize(
    ("wanted", "around", "said"),
    [
        (intent(1, prices={}), world(), "nobody says what Standard_B1s costs"),
        (intent(1, HERE, BIG, prices={SIZE: 1.0}), world(), "nobody says what Big costs"),
        (intent(-1), world(), "fewer than no machines"),
        (replace(intent(1), offers=()), world(), "in which region"),
        (intent(1), world(foreign=frozenset({"web-000"})), "already that is not of this fleet"),
    ],
)
def test_what_cannot_be_planned(wanted: Intent, around: World, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planned(wanted, around)


def test_a_budget_is_kept() -> None:
    for budget in (0.0, 0.019):
        with pytest.raises(
            PlanRefusedError, match=r"2 × Standard_B1s cost .* per hour, \$0.0[02] are allowed"
        ):
            planned(intent(2, max_cost_per_hour=budget))
    assert not planned(intent(2, max_cost_per_hour=0.02)).empty


def test_fall_backs_that_are_beyond_the_budget_are_left_out() -> None:
    dear = planned(intent(2, HERE, BIG, THERE, max_cost_per_hour=2.0))
    assert dear.fallbacks == (HERE, BIG, THERE)
    assert dear.most_per_hour == 2.0
    plan = planned(intent(2, HERE, BIG, THERE, max_cost_per_hour=1.99))
    assert plan.fallbacks == (HERE, THERE)
    assert plan.most_per_hour == pytest.approx(0.02)
    assert plan.left_out == ((BIG, "to fall back to it would be beyond the budget"),)


def test_a_scale_set_is_one_unit() -> None:
    plan = planned(intent(5, HERE, THERE, scale_set=True), **{PLACE: 4})
    (made,) = plan.creates
    assert (made.name, made.members, made.offer) == ("web-set", 5, THERE)
    assert plan.cost_per_hour == pytest.approx(0.05)
    assert plan.quota_needed == {f"northeurope {SIZE}": 5, "northeurope cores": 5}
    grown = planned(intent(7, HERE, THERE, scale_set=True), world(made))
    assert [(one.name, one.members) for one in grown.changes] == [("web-set", 7)]
    assert grown.quota_needed["northeurope cores"] == 2
    assert planned(intent(0, scale_set=True), world(made)).deletes == ("web-set",)


def test_the_plan_of_yesterday_is_refused() -> None:
    plan = planned(intent(2), world(unit(0)))
    check_plan(plan, world(unit(0)))
    for changed in (world(), world(unit(0, status="stopped")), world(unit(0), unit(5))):
        with pytest.raises(PlanRefusedError, match="the world has changed"):
            check_plan(plan, changed)
    with pytest.raises(PlanRefusedError, match="web-001 is running"):
        check_plan(plan, world(unit(0), unit(1, location="elsewhere")))


def test_a_plan_that_is_partly_done_can_go_on() -> None:
    plan = planned(intent(2, HERE, BIG), world(unit(0, status="stopped"), unit(4)))
    for partly, left in (
        (world(unit(0), unit(4)), ["web-004", "web-001"]),
        (world(unit(0, status="stopped")), ["web-000", "web-001"]),
        (world(unit(0), unit(1, status="changing")), ["web-001"]),
        (world(unit(0), unit(1, size="Big")), []),
        (world(unit(0), unit(1)), []),
    ):
        check_plan(plan, partly)
        assert [step.unit.name for steps in remaining(plan, partly) for step in steps] == left


def test_an_altered_plan_is_refused() -> None:
    plan = planned(intent(2))
    for altered in (
        replace(plan, cost_per_hour=0.0),
        replace(plan, deletes=("other",)),
        replace(plan, creates=plan.creates * 2),
        replace(plan, fallbacks=(BIG,)),
        replace(plan, terms="others"),
    ):
        with pytest.raises(PlanRefusedError, match="altered"):
            check_plan(altered, world())


def test_a_plan_comes_back_from_its_content() -> None:
    plan = planned(intent(2, HERE, BIG, Offer("atlantis", SIZE), terms="t"), world(unit(0), unit(9)))
    assert plan_from(plan.content()) == plan
