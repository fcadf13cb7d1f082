"""Plans and fleets in words, line by line."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from elspeth.api.fleet import FleetStatus, PlannedFleet
from elspeth.fabric.adapter import Plan, Unit

if TYPE_CHECKING:
    from elspeth.fabric.applying import StepEnd

_SIGNS = {"create": "+", "change": "~", "delete": "-"}


def plan_lines(found: PlannedFleet) -> Iterator[str]:
    """A plan, as a diff reads, then what it needs."""
    plan = found.plan
    before = {unit.name: unit for unit in plan.base}
    remade = {unit.name for unit in plan.creates} & set(plan.deletes)
    for name in plan.deletes:
        yield f"- {_unit(before[name])}" + ("  (made anew)" if name in remade else "")
    for unit in plan.changes:
        yield f"~ {unit.name}  {_change(before[unit.name], unit)}"
    for unit in plan.creates:
        yield f"+ {_unit(unit)}"
    if plan.empty:
        yield "nothing to do"
    yield from _room(plan)
    yield f"the whole fleet: ${plan.cost_per_hour:.2f} per hour" + _spent(found.spent_today, found.spent)
    for need in found.needs:
        yield f"needs approval: {need}"
    if found.needs and found.approval != "pending":
        yield f"approval: {found.approval}"
    yield f"digest {plan.digest}"


def status_lines(found: FleetStatus) -> Iterator[str]:
    """A fleet as it is."""
    for unit in found.world.units:
        yield f"{unit.name}  {unit.status}  {_unit(unit).partition('  ')[2]}"
    for stray in found.world.strays:
        yield f"stray: {stray}"
    machines = sum(unit.machines for unit in found.world.units)
    yield f"{counted(machines, 'machine')}, ${found.cost_per_hour:.2f} per hour" + _spent(
        found.spent_today, found.spent
    )


def counted(number: int, what: str) -> str:
    """So many of something."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def step_line(end: "StepEnd") -> str:
    """One step of an apply that has ended."""
    told = "done" if end.error is None else f"failed: {end.error.splitlines()[0]}"
    return f"{_SIGNS[end.step.action]} {end.step.unit.name}  {told}  ({end.number} of {end.total})"


def _room(plan: Plan) -> Iterator[str]:
    taken = {unit.offer for unit in plan.creates}
    others = [one for one in plan.fallbacks if len(taken) > 1 or one not in taken]
    if others:
        dearer = plan.most_per_hour > plan.cost_per_hour + 1e-9
        most = f" (the fleet then costs up to ${plan.most_per_hour:.2f} per hour)" if dearer else ""
        yield f"where there is no capacity: {', then '.join(map(str, others))}{most}"
    for offer, why in plan.left_out:
        yield f"not available: {offer}: {why}"
    if plan.quota_needed:
        needed = ", ".join(f"{cores} of {name}" for name, cores in plan.quota_needed.items())
        yield f"quota needed: {needed}"


def _unit(unit: Unit) -> str:
    many = f"{unit.members} × " if unit.members is not None else ""
    return f"{unit.name}  {many}{unit.offer}" + (", spot" if unit.spot else "")


def _change(before: Unit, after: Unit) -> str:
    told = []
    if before.size != after.size:
        told.append(f"{before.size} → {after.size}")
    if before.members != after.members:
        told.append(f"{before.members} → {after.members} machines")
    if before.status != after.status:
        told.append(f"{before.status} → {after.status}")
    return ", ".join(told)


def _spent(today: float, total: float) -> str:
    if total < 0.005:
        return ""
    return f"; spent: ${today:.2f} today, ${total:.2f} in all"
