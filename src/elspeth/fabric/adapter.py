"""What every provider of machines looks like to a fleet: see, plan, apply, destroy.

The words are here; the arithmetic of plans is in `planning`, who talks to a cloud is in the providers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from elspeth.contracts.errors import ElspethError


@dataclass(frozen=True, slots=True, order=True)
class Offer:
    """A place and a size: where a machine can be had."""

    location: str
    size: str

    def __str__(self) -> str:
        return f"{self.size} in {self.location}"


@dataclass(frozen=True, slots=True)
class Unit:
    """One machine of a fleet, or a scale set of ``members`` machines.

    ``status``: ``running``, ``stopped`` (and still billed), ``deallocated`` (also evicted; not billed),
    ``failed`` or ``changing``; a scale set is ``stopped`` if one of its machines does not run.
    """

    name: str
    size: str
    location: str
    spot: bool = False
    status: str = "running"
    members: int | None = None

    @property
    def offer(self) -> Offer:
        """Place and size."""
        return Offer(self.location, self.size)

    @property
    def machines(self) -> int:
        """How many machines this is."""
        return 1 if self.members is None else self.members


@dataclass(frozen=True, slots=True)
class World:
    """A fleet as it is. ``foreign``: names in the same place that are not ours. ``strays``: ids that bear
    our tag and belong to no machine.
    """

    units: tuple[Unit, ...]
    foreign: frozenset[str] = frozenset()
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """What a provider says about an offer: its cores, the quotas that these count in (keys of
    `Market.quotas`), and, where it can't be had at all, why.
    """

    cores: int = 0
    quotas: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Market:
    """What can be had. ``quotas``: cores in use and cores allowed. An offer without a quote can't be had:
    what is not known is refused.
    """

    quotes: Mapping[Offer, Quote]
    quotas: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Intent:
    """A fleet as it should be. ``offers``: in order of preference. ``prices``: US dollars per hour and
    machine, by size. ``terms``: a digest of what else the plan rests on (a file, its policies).
    """

    fleet: str
    count: int
    offers: tuple[Offer, ...]
    prices: Mapping[str, float]
    spot: bool = False
    scale_set: bool = False
    max_cost_per_hour: float | None = None
    terms: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What leads from ``base`` to the intent. ``digest`` covers everything else: an altered plan is
    refused.

    ``fallbacks``: where an apply may put what is to be created if its own place is full by then, in this
    order. ``cost_per_hour`` is that of the whole fleet, ``most_per_hour`` what it costs if the dearest
    of these are taken; nothing dearer is ever made. ``quota_needed``: cores, by quota. ``left_out``: offers
    that can't be had, and why.
    """

    fleet: str
    base: tuple[Unit, ...]
    creates: tuple[Unit, ...]
    changes: tuple[Unit, ...]
    deletes: tuple[str, ...]
    cost_per_hour: float
    quota_needed: Mapping[str, int]
    fallbacks: tuple[Offer, ...] = ()
    most_per_hour: float = 0.0
    left_out: tuple[tuple[Offer, str], ...] = ()
    prices: Mapping[str, float] = field(default_factory=dict)
    terms: str = ""
    digest: str = ""

    @property
    def empty(self) -> bool:
        """Whether the fleet is as it should be."""
        return not (self.creates or self.changes or self.deletes)

    def content(self) -> dict[str, Any]:
        """All but the digest, as plain JSON values."""
        return {
            "fleet": self.fleet,
            "base": [plain_unit(unit) for unit in self.base],
            "creates": [plain_unit(unit) for unit in self.creates],
            "changes": [plain_unit(unit) for unit in self.changes],
            "deletes": list(self.deletes),
            "cost_per_hour": round(self.cost_per_hour, 6),
            "most_per_hour": round(self.most_per_hour, 6),
            "quota_needed": dict(sorted(self.quota_needed.items())),
            "fallbacks": [[one.location, one.size] for one in self.fallbacks],
            "left_out": [[one.location, one.size, why] for one, why in self.left_out],
            "prices": dict(sorted(self.prices.items())),
            "terms": self.terms,
        }


class PlanRefusedError(ElspethError):
    """A plan may not be applied: altered, made for another world, or beyond its budget."""


class NoRoomError(PlanRefusedError):
    """No offer has room for what a plan needs: quota, or sizes that are not for sale."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an apply does: ``delete``, ``change`` or ``create``, and to what."""

    action: str
    unit: Unit


class Crew(Protocol):
    """Who does the steps of an apply, several at once."""

    def __call__(self, steps: Sequence[Step], do: Callable[[Step], None]) -> None:
        """Do all of them. Raises the first error once all that was begun has ended."""


class Adapter(Protocol):
    """A provider of machines."""

    def observe(self) -> World:
        """The fleet as it is. A list that fails or is throttled raises; it is never an empty fleet."""

    def plan(self, intent: Intent) -> Plan:
        """What would have to be done; changes nothing."""

    def apply(self, plan: Plan, crew: Crew | None = None) -> World:
        """Do it. Raises PlanRefusedError; the same plan can be applied again after a crash."""

    def destroy(self, selector: str = "*") -> list[str]:
        """Remove what bears the fleet's tag and whose name fits, and nothing else. The names."""

    def health(self) -> Mapping[str, int]:
        """How many machines have which status."""


def plain_unit(unit: Unit) -> dict[str, Any]:
    """A unit as plain JSON values."""
    found: dict[str, Any] = {
        "name": unit.name,
        "size": unit.size,
        "location": unit.location,
        "spot": unit.spot,
        "status": unit.status,
    }
    return found if unit.members is None else {**found, "members": unit.members}


def unit_from(plain: Mapping[str, Any]) -> Unit:
    """The inverse of `plain_unit`."""
    return Unit(**plain)
