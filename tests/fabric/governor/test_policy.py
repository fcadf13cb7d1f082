"""Rules over plans: what they see, and what counts as broken."""

import sys
from typing import Any

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.fabric.adapter import Intent, Market, Offer, Plan, Quote, World
from elspeth.fabric.governor.policy import violations
from elspeth.fabric.planning import make_plan

SMALL, LARGE = Offer("west", "S"), Offer("north", "L")
FLEET: dict[str, Any] = {
    "tags": {"owner": "ada"},
    "spot": True,
    "image": None,
    "network": {"public_ip": False},
}


@pytest.fixture
def plan() -> Plan:
    """Two machines in the west, which may go to larger ones in the north."""
    market = Market({SMALL: Quote(1, ("w",)), LARGE: Quote(4, ("n",))}, {"w": (0, 2), "n": (0, 8)})
    prices = {"S": 0.5, "L": 2.0}
    return make_plan(Intent("web", 2, (SMALL, LARGE), prices, spot=True), World(()), market)


def broken(plan: Plan, *rules: str) -> list[str]:
    return [one.what for one in violations(plan, FLEET, [(rule, "no") for rule in rules])]


@pytest.mark.parametrize(
    "rule",
    [
        "plan.cost_per_hour == 1.0 && plan.most_per_hour < 4.5",
        "plan.creates == 2 && plan.deletes == 0",
        "plan.names.all(n, n.startsWith('web-'))",
        "plan.regions == ['north', 'west']",
        "fleet.spot && has(fleet.tags.owner) && !has(fleet.image)",
        "vm.size in ['S', 'L'] && !vm.public_ip && vm.machines == 1",
        "'owner' in vm.tags",
    ],
)
def test_kept(plan: Plan, rule: str) -> None:
    assert broken(plan, rule) == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("plan.cost_per_hour < 1.0", "no"),
        ("vm.cost_per_hour < 1.0", "no (web-000 as fall-back L in north)"),
        ("vm.region == 'north'", "no (web-000)"),
        ("vm.tags.team == 'x'", "no (web-000): can't be decided: there is no 'team'"),
        ("plam.creates > 1", "no: can't be decided: there is no plam"),
        ("plan.creates", "no: can't be decided: it gives no yes or no"),
        ("plan.creates / 0 > 1", "no: can't be decided: "),
        ("plan.creates >", "'plan.creates >' is no rule: it can't be read"),
    ],
)
def test_broken(plan: Plan, rule: str, told: str) -> None:
    (what,) = broken(plan, rule)
    assert what.startswith(told)


def test_a_rule_of_machines_is_kept_where_none_is_made(plan: Plan) -> None:
    nothing = make_plan(
        Intent("web", 0, (SMALL,), {"S": 0.5}), World(()), Market({SMALL: Quote(1, ("w",))}, {"w": (0, 2)})
    )
    assert broken(nothing, "vm.size == 'none'") == []


def test_without_the_library_the_remedy_is_told(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celpy", None)
    assert violations(plan, FLEET, []) == []
    with pytest.raises(UsageError, match=r"elspeth\[policy\]"):
        broken(plan, "true")
