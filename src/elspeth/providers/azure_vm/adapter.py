"""`AzureVMAdapter`: a fleet of virtual machines in one resource group."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from fnmatch import fnmatchcase
from typing import TypedDict

from elspeth.core.landscape.operations import Operation
from elspeth.fabric.adapter import Crew, Intent, Market, Offer, Plan, Step, Unit, World
from elspeth.fabric.governor.breakers import Breakers
from elspeth.fabric.planning import check_plan, make_plan, remaining
from elspeth.fabric.room import Room
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import AzureVMError, OperationTimeoutError, UnreachableError
from elspeth.providers.azure_vm.machine import VirtualMachine, VMOptions, VMState
from elspeth.providers.azure_vm.market import market
from elspeth.providers.azure_vm.placing import FLEET_TAG, Attempt, Placing
from elspeth.providers.azure_vm.scale_sets import set_of
from elspeth.providers.azure_vm.set_placing import SetPlacing
from elspeth.providers.azure_vm.sweeping import Sweeper

_STATUS = {
    VMState.RUNNING: "running",
    VMState.STOPPED: "stopped",
    VMState.DEALLOCATED: "deallocated",
    VMState.FAILED: "failed",
}


class AdapterOptions(TypedDict, total=False):
    """``machine``: for every machine that is made. ``subnets``: region → subnet; elsewhere a network of the
    resource group is used. ``parallel``: how many machines are worked on at once (25). ``book``: the
    operation with which everything that is done to a machine is on record before it is.
    """

    machine: VMOptions
    subnets: Mapping[str, str]
    parallel: int
    book: Operation


class AzureVMAdapter:
    """The machines of one resource group that bear the fleet's tag; nothing else is changed or deleted."""

    def __init__(
        self, client: AzureVMClient, rg_name: str, fleet: str, options: AdapterOptions | None = None
    ) -> None:
        given = options or {}
        self._client = client
        self._rg = rg_name
        self._fleet = fleet
        self._parallel = given.get("parallel", 25)
        self.breakers = Breakers(client.connection.clock.now, _is_trouble)
        how = (given.get("machine", {}), given.get("subnets", {}))
        self._placing = Placing(client, rg_name, fleet, *how)
        self._sets = SetPlacing(client, rg_name, fleet, *how)
        self._book = given.get("book")
        self._sweeper = Sweeper(client.connection, rg_name, FLEET_TAG, fleet)

    def prepare(self, location: str) -> None:
        """Make the resource group if it is not there; it stays when the fleet goes."""
        if not self._client.has_resource_group(self._rg):
            self._client.create_resource_group(self._rg, location)

    def observe(self) -> World:
        """The fleet as it is, and what bears its tag without belonging to a machine.

        A resource group that is not there has no machines.
        """
        if not self._client.has_resource_group(self._rg):
            return World(())
        found = self._client.list_vms(self._rg)
        sets, foreign_sets, set_ids = self._sets.units(found)
        single = [machine for machine in found if set_of(machine) not in set_ids]
        ours = [machine for machine in single if self._placing.is_ours(machine)]
        foreign = {machine.name for machine in single if not self._placing.is_ours(machine)}
        units = sorted((*map(_unit, ours), *sets), key=lambda unit: unit.name)
        return World(tuple(units), frozenset(foreign | foreign_sets), tuple(self._sweeper.strays(found)))

    def market(self, offers: Iterable[Offer], *, spot: bool = False) -> Market:
        """What can be had: sizes, restrictions and quotas, as Azure tells them now."""
        return market(self._client.connection, offers, spot=spot)

    def plan(self, intent: Intent) -> Plan:
        """What would have to be done, where there is room for it. Raises UsageError, NoRoomError, and
        PlanRefusedError for a budget that is too small.
        """
        world = self.observe()
        offers = {*intent.offers, *(unit.offer for unit in world.units)}
        return make_plan(intent, world, self.market(offers, spot=intent.spot))

    def apply(self, plan: Plan, crew: Crew | None = None) -> World:
        """Do what the plan says; what is done already is left alone. The fleet afterwards.

        A machine for which there is no capacity where it was planned goes to the next of the plan's
        fall-backs; what failed there is deleted. Raises PlanRefusedError before anything is done if the
        world is not what the plan was made for, or no offer has room any more; else the first error once
        all that was begun has ended.
        """
        before = self.observe()
        check_plan(plan, before)
        deletes, changes, creates = remaining(plan, before)
        self._check_room(plan, before, [one.unit for one in deletes], [one.unit for one in creates])
        work = crew or self._together
        attempt = Attempt((self._placing, self._sets), plan, self.breakers, self._book)
        for steps in (deletes, changes, creates):
            if steps:
                work(steps, attempt.do)
        return self.observe()

    def destroy(self, selector: str = "*") -> list[str]:
        """Delete the machines of the fleet whose names fit (``web-00*``), then what else bears its tag and
        belongs to no machine. The names.
        """
        units = [unit for unit in self.observe().units if fnmatchcase(unit.name, selector)]
        attempt = Attempt((self._placing, self._sets), None, self.breakers, self._book)
        self._together([Step("delete", unit) for unit in units], attempt.do)
        self.sweep()
        return [unit.name for unit in units]

    def sweep(self) -> list[str]:
        """Delete what bears the fleet's tag and belongs to no machine: left by creations that failed. The
        ids.

        Not while another apply is at work: an interface is made a moment before its machine.
        """
        if not self._client.has_resource_group(self._rg):
            return []
        return self._sweeper.sweep(self._client.list_vms(self._rg))

    def health(self) -> Mapping[str, int]:
        """How many machines have which status."""
        units = self.observe().units
        return {
            status: sum(unit.machines for unit in units if unit.status == status)
            for status in ("running", "stopped", "deallocated", "failed", "changing")
        }

    def _check_room(self, plan: Plan, world: World, gone: list[Unit], wanted: list[Unit]) -> None:
        """Refuse before anything is made what would fail for lack of quota in the middle."""
        there = {unit.name for unit in world.units} - {unit.name for unit in gone}
        missing = [unit for unit in wanted if unit.name not in there]
        if not missing:
            return
        offers = [unit.offer for unit in (*missing, *gone)]
        room = Room(self.market([*offers, *plan.fallbacks], spot=missing[0].spot))
        for unit in gone:
            room.give_back(unit)
        for unit in missing:
            room.place([unit.offer, *plan.fallbacks], unit.machines)

    def _together(self, steps: Sequence[Step], do: Callable[[Step], None]) -> None:
        if not steps:
            return
        with ThreadPoolExecutor(min(self._parallel, len(steps))) as pool:
            outcomes = [pool.submit(do, step) for step in steps]
            try:
                wait(outcomes)
            except BaseException:
                # Ctrl-C: what is begun is ended, and nothing else is begun.
                for outcome in outcomes:
                    outcome.cancel()
                raise
        for outcome in outcomes:
            outcome.result()


def _unit(machine: VirtualMachine) -> Unit:
    status = _STATUS.get(machine.state, "changing")
    return Unit(machine.name, machine.vm_size, machine.location, machine.spot, status)


def _is_trouble(error: Exception) -> bool:
    """Whether an error tells that Azure itself is in trouble, and not that it can't do what was asked."""
    if isinstance(error, UnreachableError | OperationTimeoutError):
        return True
    return isinstance(error, AzureVMError) and error.status >= 500
