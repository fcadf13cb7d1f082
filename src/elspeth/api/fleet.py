"""``fleet plan``, ``apply``, ``status``, ``destroy`` and ``sweep``: machines in Azure, as a file says."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from elspeth.api.fleet_desk import Desk, Kept, open_desk
from elspeth.api.operations import somebody
from elspeth.fabric.adapter import Plan, PlanRefusedError, World, plain_unit
from elspeth.fabric.fleet_file import FleetSettings, fleet_schema

if TYPE_CHECKING:
    from elspeth.fabric.applying import StepEnd

OnStep = Callable[["StepEnd"], None]
Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class PlannedFleet:
    """A plan on record. ``approval``: ``not needed``, ``pending``, ``approved``, ``rejected`` or
    ``expired``; ``needs``: why one is needed. ``spent_today`` in US dollars.
    """

    plan: Plan
    approval: str
    needs: tuple[str, ...]
    spent_today: float
    spent: float


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """A fleet as it is. ``cost_per_hour`` is of the machines that are billed, in US dollars."""

    fleet: str
    world: World
    cost_per_hour: float
    spent_today: float
    spent: float
    prices: Mapping[str, float]


def plan_fleet(path: Path, *, kept: Kept | None = None, by: str | None = None) -> PlannedFleet:
    """What would have to be done for the fleet to be as the file says. Changes nothing in Azure, and puts the
    plan on record, as asked for by ``by`` (default: the user of this process).

    Raises ConfigurationError (also for policies that the plan breaks, all of them), NoRoomError,
    PlanRefusedError for a budget that has no room for it, and the provider's errors.
    """
    with open_desk(path, "plan", kept) as desk:
        plan: Plan = desk.adapter.plan(desk.settings.intent())
        desk.check_policies(plan)
        desk.settle(World(plan.base))
        desk.books.spending.check(_at_most(plan), _limits(desk.settings))
        recorded = desk.books.approvals.record(plan, by or somebody(), _rules(plan, desk.settings))
        spent = desk.books.spending.stand()
        state = recorded.state(desk.books.approvals.now())
        found = PlannedFleet(plan, state, recorded.rules.needs, spent.today, spent.total)
        desk.record.note("planned", {**plan_dict(found), "by": recorded.requested_by})
        return found


def apply_fleet(
    path: Path, digest: str, *, kept: Kept | None = None, on_step: OnStep | None = None
) -> FleetStatus:
    """Do what the plan with this digest says: the one that somebody has looked at, and no other.

    The plan must be on record (`plan_fleet`), the file the same, the world as the plan knows it or on its way
    to what it says, the policies kept, the approval there if one is needed; and the most that the plan
    may cost is set aside first. An apply that died goes on with the same digest; two with the same digest
    share the work.

    Raises NotFoundError, PlanRefusedError, ConfigurationError, and the provider's errors.
    """
    from elspeth.fabric.applying import SharedCrew  # noqa: PLC0415  it takes SQLAlchemy along
    from elspeth.fabric.planning import check_plan  # noqa: PLC0415

    with open_desk(path, "apply", kept) as desk:
        settings, books = desk.settings, desk.books
        recorded = books.approvals.find(digest)
        plan: Plan = recorded.plan
        desk.record.note("planned", {**plan.content(), "digest": plan.digest, "by": recorded.requested_by})
        if plan.fleet != settings.fleet or plan.terms != settings.terms():
            raise PlanRefusedError(
                f"{path} says something else than when plan {plan.digest[:12]} was made",
                fix="look at the new plan: elspeth fleet plan",
            )
        desk.check_policies(plan)
        _note_approval(desk, plan, books.approvals.require(recorded))
        with books.turns.taken(settings.fleet, plan.digest) as turn:
            before = desk.observe()
            check_plan(plan, before)
            # In one transaction, before anything is made.
            books.spending.reserve(plan.digest, _at_most(plan), _limits(settings))
            if not plan.empty:
                desk.adapter.prepare(settings.regions[0])
            crew = SharedCrew(books.coordinator, turn, settings.parallel, on_step)
            try:
                desk.adapter.apply(plan, crew)
            finally:
                world = desk.adapter.observe()
                books.spending.settle(world, settings.prices)
        status = _status(desk, world)
        desk.record.note("result", {"plan": plan.digest, **status_dict(status)})
        return status


def fleet_status(path: Path, *, kept: Kept | None = None) -> FleetStatus:
    """The fleet as it is."""
    with open_desk(path, "status", kept) as desk:
        status = _status(desk, desk.observe())
        desk.record.note("observed", status_dict(status))
        return status


def destroy_fleet(path: Path, *, selector: str = "*", kept: Kept | None = None) -> list[str]:
    """Delete the machines of the fleet whose names fit (``web-00*``), and what else bears its tag and belongs
    to no machine. The machines' names.
    """
    with open_desk(path, "destroy", kept) as desk, desk.books.turns.taken(desk.settings.fleet, "destroy"):
        names = [unit.name for unit in desk.observe().units if fnmatchcase(unit.name, selector)]
        desk.record.note("approved", {"deletes": names, "by": somebody()})
        gone: list[str] = desk.adapter.destroy(selector)
        desk.books.spending.settle(desk.adapter.observe(), desk.settings.prices)
        desk.record.note("result", {"deleted": gone})
        return gone


def sweep_fleet(path: Path, *, kept: Kept | None = None) -> list[str]:
    """Delete what bears the fleet's tag and belongs to no machine; the ids."""
    with open_desk(path, "sweep", kept) as desk, desk.books.turns.taken(desk.settings.fleet, "sweep"):
        swept: list[str] = desk.adapter.sweep()
        desk.record.note("result", {"deleted": swept})
        return swept


def plan_dict(planned: PlannedFleet) -> dict[str, Any]:
    """A plan as plain JSON values."""
    plan = planned.plan
    return {
        **plan.content(),
        "digest": plan.digest,
        "empty": plan.empty,
        "approval": planned.approval,
        "approval_needed_for": list(planned.needs),
        "spent_today": round(planned.spent_today, 6),
        "spent": round(planned.spent, 6),
    }


def status_dict(status: FleetStatus) -> dict[str, Any]:
    """A status as plain JSON values."""
    return {
        "fleet": status.fleet,
        "cost_per_hour": status.cost_per_hour,
        "spent_today": round(status.spent_today, 6),
        "spent": round(status.spent, 6),
        "machines": [
            {**plain_unit(unit), "price_per_hour": status.prices.get(unit.size, 0.0) * unit.machines}
            for unit in status.world.units
        ],
        "strays": list(status.world.strays),
    }


def schema_dict() -> dict[str, Any]:
    """The JSON Schema of fleet files."""
    return fleet_schema()


def _note_approval(desk: Desk, plan: Plan, decision: Any) -> None:
    """Put on record who stands for this apply: who approved the plan, or else who gives its digest."""
    if decision is None:
        desk.record.note("approved", {"digest": plan.digest, "by": somebody()})
    else:
        told = {"digest": plan.digest, "by": somebody(), "approved_by": decision.decided_by}
        desk.record.note("applied", told)


def _at_most(plan: Plan) -> dict[str, float]:
    """The most that each machine of a plan may cost per hour, by name."""
    dearest = max((plan.prices[one.size] for one in plan.fallbacks), default=0.0)
    return {
        unit.name: unit.machines * max(plan.prices[unit.size], dearest if unit in plan.creates else 0.0)
        for unit in (*plan.creates, *plan.changes)
    }


def _limits(settings: FleetSettings) -> Any:
    from elspeth.fabric.governor.spending import Limits  # noqa: PLC0415

    given = settings.budget
    return Limits(given.per_hour, given.per_day, given.total, given.hours)


def _rules(plan: Plan, settings: FleetSettings) -> Any:
    """Why this plan needs an approval, if it does."""
    from elspeth.fabric.governor.approvals import Rules  # noqa: PLC0415

    asked = settings.approval
    if asked is None or plan.empty:
        return Rules()
    creates, deletes = sum(unit.machines for unit in plan.creates), len(plan.deletes)
    needs = []
    if asked.cost_per_hour is not None and plan.most_per_hour > asked.cost_per_hour:
        needs.append(f"it may cost ${plan.most_per_hour:.2f} per hour, more than ${asked.cost_per_hour:.2f}")
    if asked.creates is not None and creates > asked.creates:
        needs.append(f"it creates {creates} machines, more than {asked.creates}")
    if asked.deletes is not None and deletes > asked.deletes:
        needs.append(f"it deletes {deletes} machines, more than {asked.deletes}")
    return Rules(tuple(needs), asked.valid_hours, asked.own)


def _status(desk: Desk, world: World) -> FleetStatus:
    spent = desk.books.spending.stand()
    rate = round(spent.per_hour, 6)
    return FleetStatus(desk.settings.fleet, world, rate, spent.today, spent.total, desk.settings.prices)
