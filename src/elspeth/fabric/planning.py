"""The arithmetic of plans: what leads from a fleet as it is to one as it should be."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.fabric.adapter import Intent, Market, Offer, Plan, PlanRefusedError, Step, Unit, World, unit_from
from elspeth.fabric.room import Room

_CENT = 1e-9  # Sums of floats may be off by less than anybody pays.


def make_plan(intent: Intent, world: World, market: Market) -> Plan:
    """The plan from this world to that intent.

    A failed machine is deleted and made again, one that is stopped or was evicted is started, one at
    none of the intent's offers is resized, or made anew where it stands in another region; machines of
    the fleet that are not wanted are deleted. What is created goes to the first offer that has room.

    Raises UsageError, NoRoomError if no offer has room, and PlanRefusedError for a budget that is too small.
    """
    _check(intent, world)
    known = {unit.name: unit for unit in world.units}
    names = _names(intent)
    remade = {name for name in names if name in known and _must_be_made_anew(known[name], intent)}
    deletes = sorted([name for name in known if name not in names] + list(remade))
    room = Room(market)
    for name in deletes:
        room.give_back(known[name])
    kept, changes = _kept(
        intent, [known[name] for name in names if name in known and name not in remade], room
    )
    creates = []
    for name in names:
        if name not in known or name in remade:
            members = intent.count if intent.scale_set else None
            offer = room.place(intent.offers, intent.count if intent.scale_set else 1)
            creates.append(Unit(name, offer.size, offer.location, intent.spot, members=members))
    cost = _cost([*kept, *creates], intent.prices)
    _check_budget(intent, cost, [*kept, *creates])
    fallbacks, dropped, most = _fallbacks(intent, kept, creates, room)
    plan = Plan(
        intent.fleet, world.units, tuple(creates), tuple(changes), tuple(deletes), cost, room.needed(),
        fallbacks, most, (*room.left_out(intent.offers), *dropped) if creates else (),
        {one.size: intent.prices[one.size] for one in intent.offers}, intent.terms,
    )  # fmt: skip
    return replace(plan, digest=digest_of(plan))


def digest_of(plan: Plan) -> str:
    """SHA-256 (hex) of what a plan says."""
    return sha256(json.dumps(plan.content(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_from(content: Mapping[str, Any]) -> Plan:
    """The plan with this `Plan.content`; its digest is computed, not believed."""
    plan = Plan(
        content["fleet"],
        tuple(map(unit_from, content["base"])),
        tuple(map(unit_from, content["creates"])),
        tuple(map(unit_from, content["changes"])),
        tuple(content["deletes"]),
        content["cost_per_hour"],
        content["quota_needed"],
        tuple(Offer(*one) for one in content["fallbacks"]),
        content["most_per_hour"],
        tuple((Offer(place, size), why) for place, size, why in content["left_out"]),
        content["prices"],
        content["terms"],
    )
    return replace(plan, digest=digest_of(plan))


def check_plan(plan: Plan, world: World) -> None:
    """Refuse a plan that was altered, or whose world is another by now than what it starts from or leads
    to.
    """
    if digest_of(plan) != plan.digest:
        raise PlanRefusedError("the plan was altered since it was made", fix="make a new one")
    taken = sorted({unit.name for unit in plan.creates} & world.foreign)
    if taken:
        raise PlanRefusedError(
            f"the world has changed since the plan was made: there is a {taken[0]} that is not of this fleet",
            fix="rename the fleet, or have it removed",
        )
    base = {unit.name: unit for unit in plan.base}
    now = {unit.name: unit for unit in world.units}
    for name in sorted({*base, *now}):
        found = now.get(name)
        if found != base.get(name) and not _leads_there(plan, name, found):
            raise PlanRefusedError(
                f"the world has changed since the plan was made: {name} is {_told(found)}, "
                f"not {_told(base.get(name))}",
                fix="make a new plan, and look at it",
            )


def remaining(plan: Plan, world: World) -> tuple[list[Step], list[Step], list[Step]]:
    """What of a plan is not done yet: deletes, changes, creates. The world must have passed `check_plan`."""
    base = {unit.name: unit for unit in plan.base}
    there = {unit.name: unit for unit in world.units}
    deletes = [Step("delete", base[name]) for name in plan.deletes if there.get(name) == base[name]]
    changes = [Step("change", unit) for unit in plan.changes if there.get(unit.name) != unit]
    gone = {step.unit.name for step in deletes}
    creates = [
        Step("create", unit)
        for unit in plan.creates
        if unit.name in gone or not _is_made(plan, unit, there.get(unit.name))
    ]
    return deletes, changes, creates


def allowed_offers(plan: Plan, unit: Unit) -> list[Offer]:
    """Where a unit that is to be created may be put, in order: its own place, then the fall-backs."""
    return [unit.offer, *(one for one in plan.fallbacks if one != unit.offer)]


def _leads_there(plan: Plan, name: str, found: Unit | None) -> bool:
    if found is None:
        return name in plan.deletes
    for unit in plan.changes:
        if unit.name == name:
            return found == unit or found.status != "running"
    for unit in plan.creates:
        if unit.name == name:
            return found.offer in allowed_offers(plan, unit) and found.spot == unit.spot
    return False


def _is_made(plan: Plan, unit: Unit, found: Unit | None) -> bool:
    return (
        found is not None
        and found.offer in allowed_offers(plan, unit)
        and (found.spot, found.members, found.status) == (unit.spot, unit.members, "running")
    )


def _check(intent: Intent, world: World) -> None:
    if intent.count < 0:
        raise UsageError("a fleet can't have fewer than no machines")
    if not intent.offers:
        raise UsageError("nobody says in which region and of which size the machines should be")
    for offer in intent.offers:
        if offer.size not in intent.prices:
            raise UsageError(f"nobody says what {offer.size} costs", fix="add it to the prices")
    taken = sorted(set(_names(intent)) & world.foreign)
    if taken:
        raise UsageError(
            f"there is a machine {taken[0]} already that is not of this fleet", fix="rename the fleet"
        )


def _names(intent: Intent) -> list[str]:
    if intent.scale_set:
        return [f"{intent.fleet}-set"] if intent.count else []
    return [f"{intent.fleet}-{number:03d}" for number in range(intent.count)]


def _kept(intent: Intent, units: list[Unit], room: Room) -> tuple[list[Unit], list[Unit]]:
    """What stays, as it will be, and which of it has to be changed for that."""
    kept, changes = [], []
    for unit in units:
        target = replace(unit, status="running", members=intent.count if intent.scale_set else None)
        if unit.offer not in intent.offers:
            here = [one for one in intent.offers if one.location == unit.location]
            target = replace(target, size=room.resize(unit, here).size)
        elif target.machines > unit.machines:
            room.place([unit.offer], target.machines - unit.machines)
        kept.append(target)
        if target != unit:
            changes.append(target)
    return kept, changes


def _must_be_made_anew(unit: Unit, intent: Intent) -> bool:
    if unit.status == "failed" or unit.spot != intent.spot:
        return True
    if intent.scale_set:
        return unit.offer not in intent.offers
    return unit.location not in {one.location for one in intent.offers}


def _cost(units: Iterable[Unit], prices: Mapping[str, float]) -> float:
    return sum(prices[unit.size] * unit.machines for unit in units)


def _check_budget(intent: Intent, cost: float, units: list[Unit]) -> None:
    if intent.max_cost_per_hour is None or cost <= intent.max_cost_per_hour + _CENT:
        return
    sizes = sorted({unit.size for unit in units})
    told = " + ".join(f"{sum(u.machines for u in units if u.size == size)} × {size}" for size in sizes)
    raise PlanRefusedError(
        f"{told} cost ${cost:.2f} per hour, ${intent.max_cost_per_hour:.2f} are allowed",
        fix="take fewer or smaller machines, or raise the budget",
    )


def _fallbacks(
    intent: Intent, kept: list[Unit], creates: list[Unit], room: Room
) -> tuple[tuple[Offer, ...], tuple[tuple[Offer, str], ...], float]:
    """Where what is created may go instead; which offers are too dear for that; and the most it may cost."""
    allowed = [one for one in intent.offers if creates and not room.refused(one)]
    dropped: list[tuple[Offer, str]] = []

    def most() -> float:
        dearest = max((intent.prices[one.size] for one in allowed), default=0.0)
        each = [max(intent.prices[unit.size], dearest) * unit.machines for unit in creates]
        return _cost(kept, intent.prices) + sum(each)

    while allowed and intent.max_cost_per_hour is not None and most() > intent.max_cost_per_hour + _CENT:
        dearest = max(allowed, key=lambda one: intent.prices[one.size])
        allowed.remove(dearest)
        if dearest not in {unit.offer for unit in creates}:
            dropped.append((dearest, "to fall back to it would be beyond the budget"))
    return tuple(allowed), tuple(dropped), most()


def _told(unit: Unit | None) -> str:
    return "not there" if unit is None else f"{unit.status} ({unit.size}, {unit.location})"
