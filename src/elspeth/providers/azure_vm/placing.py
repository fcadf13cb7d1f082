"""Putting one machine of a fleet where there is room for it, and taking it away again."""

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from elspeth.core.landscape.operations import Operation
from elspeth.fabric.adapter import Offer, Plan, Step, Unit, plain_unit
from elspeth.fabric.governor.breakers import Breakers, ServiceShutError
from elspeth.fabric.planning import allowed_offers
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import (
    AzureNotFoundError,
    AzureVMError,
    CapacityError,
    ConflictError,
    QuotaError,
)
from elspeth.providers.azure_vm.machine import Spot, VMOptions, VMState
from elspeth.providers.azure_vm.record import PROVIDER

FLEET_TAG = "elspeth-fleet"
PLAN_TAG = "elspeth-plan"


class Tagged(Protocol):
    """Something that bears tags."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Name → value."""


class Placed(Tagged, Protocol):
    """What stands in Azure under a unit's name."""

    @property
    def location(self) -> str:
        """The region."""

    @property
    def vm_size(self) -> str:
        """The size."""

    @property
    def state(self) -> VMState:
        """What it is doing."""


class Placing:
    """The machines of one fleet, one at a time."""

    def __init__(
        self,
        client: AzureVMClient,
        rg_name: str,
        fleet: str,
        options: VMOptions,
        subnets: Mapping[str, str],
    ) -> None:
        self._client = client
        self.rg_name = rg_name
        self._fleet = fleet
        self._options = options
        self._subnets = subnets

    def is_ours(self, found: Tagged) -> bool:
        """Whether something bears the fleet's tag."""
        return found.tags.get(FLEET_TAG) == self._fleet

    def options_for(self, unit: Unit, offer: Offer, digest: str) -> VMOptions:
        """How a unit is made there."""
        options: VMOptions = {**self._options}
        options["tags"] = {**options.get("tags", {}), FLEET_TAG: self._fleet, PLAN_TAG: digest[:16]}
        if unit.spot:
            options["spot"] = options.get("spot", Spot())
        elif "spot" in options:
            del options["spot"]
        if offer.location in self._subnets:
            options["subnet_id"] = self._subnets[offer.location]
        return options

    def create(self, unit: Unit, offer: Offer, digest: str) -> None:
        """Make a machine there. Raises the provider's errors."""
        options = self.options_for(unit, offer, digest)
        self._client.create_vm(self.rg_name, unit.name, offer.location, offer.size, **options)

    def settled(self, unit: Unit) -> Placed:
        """The machine of that name once nothing is under way on it. ConflictError for a foreign one."""
        machine = self._client.wait_settled(self.rg_name, unit.name)
        if not self.is_ours(machine):
            raise ConflictError(
                f"there is a machine {unit.name} in {self.rg_name} that is not of fleet {self._fleet}"
            )
        return machine

    def change(self, unit: Unit, size: str) -> None:
        """Give it that size, and let it run."""
        machine: Placed = self.settled(unit)
        if machine.vm_size != size:
            machine = self._client.resize_vm(self.rg_name, unit.name, size)
        if machine.state is not VMState.RUNNING:
            self._client.start_vm(self.rg_name, unit.name)

    def delete(self, unit: Unit, *, keep_network: bool = False) -> None:
        """Remove it, with all that belongs to it. Raises ConflictError for a foreign one of that name."""
        try:
            there = self._client.get_vm(self.rg_name, unit.name)
        except AzureNotFoundError:
            there = None
        if there is not None and not self.is_ours(there):
            raise ConflictError(
                f"the machine {unit.name} in {self.rg_name} is not of fleet {self._fleet}; it is left alone"
            )
        self._client.delete_vm(self.rg_name, unit.name, keep_network=keep_network)


class Attempt:
    """One apply (or, without a plan, a destruction): what is full for one machine is full for the others.

    ``placings``: of single machines, and of scale sets.
    """

    def __init__(
        self,
        placings: tuple[Placing, Placing],
        plan: Plan | None,
        breakers: Breakers,
        book: Operation | None,
    ) -> None:
        self._machines, self._sets = placings
        self._plan = plan
        self._breakers = breakers
        self._book = book
        self._full: set[Offer] = set()
        self._lock = threading.Lock()

    def do(self, step: Step) -> None:
        """Do one step, on record before it is begun; steps that were done before are harmless."""
        if self._book is None:
            self._do(step, {})
            return
        facts = {**plain_unit(step.unit), "resource_group": self._machines.rg_name}
        del facts["status"]
        if self._plan is not None:
            facts["plan"] = self._plan.digest
            if step.action != "delete" and step.unit.size in self._plan.prices:
                facts["price_per_hour"] = self._plan.prices[step.unit.size] * step.unit.machines
        with self._book.unit(step.unit.name, step.action, facts) as row:
            self._do(step, row.facts)

    def _do(self, step: Step, came_of_it: dict[str, Any]) -> None:
        unit = step.unit
        if step.action == "create" and self._plan is not None:
            offer = self._create(unit, self._plan, came_of_it)
            price = self._plan.prices.get(offer.size, 0.0) * unit.machines
            came_of_it.update(size=offer.size, location=offer.location, price_per_hour=price)
            return
        with self._breakers.guarding(PROVIDER, unit.location, step.action):
            if step.action == "delete":
                self._of(unit).delete(unit)
            else:
                self._of(unit).change(unit, unit.size)

    def _create(self, unit: Unit, plan: Plan, came_of_it: dict[str, Any]) -> Offer:
        """Make a machine at the first of its places that has room; which that was. Says also where not."""
        offers = allowed_offers(plan, unit)
        refused: AzureVMError | ServiceShutError | None = None
        for number, offer in enumerate(offers):
            if self._is_full(offer) and (number + 1 < len(offers) or refused is not None):
                self._note_refused(came_of_it, offer, "no room for another one just before")
                continue
            try:
                with self._breakers.guarding(PROVIDER, offer.location, "create"):
                    return self._make(unit, offer, offers, plan.digest)
            except (CapacityError, QuotaError, ServiceShutError) as error:
                refused = error
                self._note_full(offer)
                self._note_refused(came_of_it, offer, getattr(error, "code", "") or error.what)
                # The interface can be taken over in the same region, and is reserved for 180 s elsewhere.
                following = [one for one in offers[number + 1 :] if not self._is_full(one)]
                near = bool(following) and following[0].location == offer.location
                if not isinstance(error, ServiceShutError):
                    self._of(unit).delete(unit, keep_network=near)
        assert refused is not None
        raise refused

    def _make(self, unit: Unit, offer: Offer, offers: list[Offer], digest: str) -> Offer:
        try:
            self._of(unit).create(unit, offer, digest)
        except ConflictError as conflict:
            # Perhaps begun by an apply that died; it is ours if it bears our tag.
            try:
                machine = self._of(unit).settled(unit)
            except AzureNotFoundError:
                raise conflict from None
            if machine.state is VMState.FAILED:
                self._of(unit).delete(unit, keep_network=machine.location == offer.location)
                self._of(unit).create(unit, offer, digest)
                return offer
            there = Offer(machine.location, machine.vm_size)
            wanted = there if there in offers else Offer(machine.location, offer.size)
            self._of(unit).change(unit, wanted.size)
            return wanted
        return offer

    def _note_refused(self, came_of_it: dict[str, Any], offer: Offer, why: str) -> None:
        before = f"{came_of_it['instead_of']}; " if "instead_of" in came_of_it else ""
        came_of_it["instead_of"] = f"{before}{offer}: {why}"

    def _of(self, unit: Unit) -> Placing:
        return self._machines if unit.members is None else self._sets

    def _is_full(self, offer: Offer) -> bool:
        with self._lock:
            return offer in self._full

    def _note_full(self, offer: Offer) -> None:
        with self._lock:
            self._full.add(offer)
