"""What every provider of machines looks like to a fleet: see, plan, apply, destroy.

The words are here, and the arithmetic of plans; who talks to a cloud is in the providers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from elspeth.contracts.errors import ElspethError, UsageError


@dataclass(frozen=True, slots=True)
class Unit:
    """One machine of a fleet. ``status``: ``running``, ``stopped`` (also evicted), ``failed`` or
    ``changing``.
    """

    name: str
    size: str
    location: str
    spot: bool = False
    status: str = "running"


@dataclass(frozen=True, slots=True)
class World:
    """A fleet as it is. ``foreign``: names in the same place that are not ours. ``strays``: ids that bear
    our tag and belong to no machine.
    """

    units: tuple[Unit, ...]
    foreign: frozenset[str] = frozenset()
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """A fleet as it should be. ``prices``: US dollars per hour and machine, by size; ``cores`` by size."""

    fleet: str
    count: int
    size: str
    location: str
    spot: bool = False
    prices: Mapping[str, float] = field(default_factory=dict)
    cores: Mapping[str, int] = field(default_factory=dict)
    max_cost_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What leads from ``base`` to the intent. ``digest`` covers everything else: an altered plan is
    refused.
    """

    fleet: str
    base: tuple[Unit, ...]
    creates: tuple[Unit, ...]
    changes: tuple[Unit, ...]
    deletes: tuple[str, ...]
    cost_per_hour: float
    quota_needed: Mapping[str, int]
    digest: str = ""

    @property
    def empty(self) -> bool:
        """Whether the fleet is as it should be."""
        return not (self.creates or self.changes or self.deletes)

    def content(self) -> dict[str, Any]:
        """All but the digest, as plain JSON values."""
        return {
            "fleet": self.fleet,
            "base": [_plain(unit) for unit in self.base],
            "creates": [_plain(unit) for unit in self.creates],
            "changes": [_plain(unit) for unit in self.changes],
            "deletes": list(self.deletes),
            "cost_per_hour": round(self.cost_per_hour, 6),
            "quota_needed": dict(sorted(self.quota_needed.items())),
        }


class PlanRefusedError(ElspethError):
    """A plan may not be applied: altered, made for another world, or beyond its budget."""


class Adapter(Protocol):
    """A provider of machines."""

    def observe(self) -> World:
        """The fleet as it is. A list that fails or is throttled raises; it is never an empty fleet."""

    def plan(self, intent: Intent) -> Plan:
        """What would have to be done; changes nothing."""

    def apply(self, plan: Plan) -> World:
        """Do it. Raises PlanRefusedError; the same plan can be applied again after a crash."""

    def destroy(self) -> None:
        """Remove everything that bears the fleet's tag, and nothing else."""

    def health(self) -> Mapping[str, int]:
        """How many machines have which status."""


def make_plan(intent: Intent, world: World) -> Plan:
    """The plan from this world to that intent. Raises UsageError, PlanRefusedError for a budget that is
    too small.

    A failed machine is deleted and made again, one that is stopped or was evicted is started, one of
    another size is resized; machines of the fleet that are not wanted are deleted.
    """
    price, cores = _price(intent), intent.cores.get(intent.size)
    if cores is None:
        raise UsageError(f"nobody says how many cores {intent.size} has, so no quota can be checked")
    wanted = {f"{intent.fleet}-{number:03d}" for number in range(intent.count)}
    taken = sorted(wanted & world.foreign)
    if taken:
        raise UsageError(
            f"there is a machine {taken[0]} already that is not of this fleet", fix="rename the fleet"
        )
    known = {unit.name: unit for unit in world.units}
    target = {name: Unit(name, intent.size, intent.location, intent.spot) for name in sorted(wanted)}
    remade = {name for name in wanted if name in known and _must_be_made_anew(known[name], target[name])}
    creates = [unit for name, unit in target.items() if name not in known or name in remade]
    changes = [
        unit for name, unit in target.items() if name in known and name not in remade and known[name] != unit
    ]
    deletes = sorted([name for name in known if name not in wanted] + list(remade))
    cost = price * intent.count
    if intent.max_cost_per_hour is not None and cost > intent.max_cost_per_hour:
        raise PlanRefusedError(
            f"{intent.count} × {intent.size} cost ${cost:.2f} per hour, "
            f"${intent.max_cost_per_hour:.2f} are allowed",
            fix="take fewer or smaller machines, or raise the budget",
        )
    needed = cores * (len(creates) - len(remade)) + cores * sum(
        known[unit.name].size != unit.size for unit in changes
    )
    quota = {intent.location: needed} if needed > 0 else {}
    bare = Plan(intent.fleet, world.units, tuple(creates), tuple(changes), tuple(deletes), cost, quota)
    return Plan(
        bare.fleet,
        bare.base,
        bare.creates,
        bare.changes,
        bare.deletes,
        bare.cost_per_hour,
        quota,
        digest_of(bare),
    )


def digest_of(plan: Plan) -> str:
    """SHA-256 (hex) of what a plan says."""
    return sha256(json.dumps(plan.content(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_plan(plan: Plan, world: World) -> None:
    """Refuse a plan that was altered, or whose world is another by now than what it starts from or leads
    to.
    """
    if digest_of(plan) != plan.digest:
        raise PlanRefusedError("the plan was altered since it was made", fix="make a new one")
    outcome = {unit.name: unit for unit in (*plan.creates, *plan.changes)}
    base = {unit.name: unit for unit in plan.base}
    now = {unit.name: unit for unit in world.units}
    for name in sorted({*base, *now}):
        allowed = [base.get(name)]
        if name in outcome:
            allowed.append(outcome[name])
        if name in plan.deletes:
            allowed.append(None)
        found = now.get(name)
        begun = found is not None and name in outcome and found.status != "running"
        if found not in allowed and not begun:
            raise PlanRefusedError(
                f"the world has changed since the plan was made: {name} is {_told(found)}, "
                f"not {_told(base.get(name))}",
                fix="make a new plan, and look at it",
            )


def _must_be_made_anew(unit: Unit, target: Unit) -> bool:
    return unit.status == "failed" or (unit.location, unit.spot) != (target.location, target.spot)


def _price(intent: Intent) -> float:
    price = intent.prices.get(intent.size)
    if price is None:
        raise UsageError(f"nobody says what {intent.size} costs", fix="add it to the prices")
    if intent.count < 0:
        raise UsageError("a fleet can't have fewer than no machines")
    return price


def _plain(unit: Unit) -> dict[str, Any]:
    return {
        "name": unit.name,
        "size": unit.size,
        "location": unit.location,
        "spot": unit.spot,
        "status": unit.status,
    }


def _told(unit: Unit | None) -> str:
    return "not there" if unit is None else f"{unit.status} ({unit.size}, {unit.location})"
