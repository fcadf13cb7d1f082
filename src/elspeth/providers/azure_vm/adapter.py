"""`AzureVMAdapter`: a fleet of virtual machines in one resource group."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

from elspeth.core.landscape.operations import Operation
from elspeth.fabric.adapter import Intent, Plan, Unit, World, check_plan, make_plan
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import AzureNotFoundError, ConflictError, QuotaError
from elspeth.providers.azure_vm.machine import Spot, VirtualMachine, VMOptions, VMState
from elspeth.providers.azure_vm.sweeping import Sweeper

FLEET_TAG = "elspeth-fleet"
PLAN_TAG = "elspeth-plan"

_STATUS = {
    VMState.RUNNING: "running",
    VMState.STOPPED: "stopped",
    VMState.DEALLOCATED: "stopped",
    VMState.FAILED: "failed",
}


class AzureVMAdapter:
    """The machines of one resource group that bear the fleet's tag; nothing else is ever changed or deleted.

    ``options`` are for every machine that is made (`VMOptions`), ``parallel`` how many are made at once.
    ``book``: where it is put down, before it is done, that a machine is created, changed or deleted.
    """

    def __init__(
        self,
        client: AzureVMClient,
        rg_name: str,
        fleet: str,
        *,
        parallel: int = 8,
        options: VMOptions | None = None,
        book: Operation | None = None,
    ) -> None:
        self._client = client
        self._book = book
        self._rg = rg_name
        self._fleet = fleet
        self._parallel = parallel
        self._options: VMOptions = options or {}
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
        ours = [machine for machine in found if self._is_ours(machine)]
        foreign = frozenset(machine.name for machine in found if not self._is_ours(machine))
        units = tuple(sorted((_unit(machine) for machine in ours), key=lambda unit: unit.name))
        return World(units, foreign, tuple(self._sweeper.strays(found)))

    def plan(self, intent: Intent) -> Plan:
        """What would have to be done. Raises UsageError, and PlanRefusedError for a budget that is too
        small.
        """
        return make_plan(intent, self.observe())

    def apply(self, plan: Plan) -> World:
        """Do what the plan says; what is done already is left alone. The fleet afterwards.

        Raises PlanRefusedError before anything is done if the world is not what the plan was made for,
        QuotaError if Azure would not allow so many cores, else the first error once all that was begun
        has ended.
        """
        before = self.observe()
        check_plan(plan, before)
        there = {unit.name: unit for unit in before.units}
        self._check_quota(plan, there)
        targets = {unit.name: unit for unit in (*plan.creates, *plan.changes)}
        gone = [name for name in plan.deletes if name in there and there[name] != targets.get(name)]
        self._each("delete", self._delete, [there[name] for name in gone], plan.digest)
        changed = [unit for unit in plan.changes if there.get(unit.name) != unit]
        self._each("change", self._change, changed, plan.digest)
        remaining = [unit for unit in plan.creates if there.get(unit.name) != unit]
        self._each("create", lambda unit: self._create(unit, plan.digest), remaining, plan.digest)
        return self.observe()

    def destroy(self) -> None:
        """Delete every machine of the fleet, then what else bears its tag."""
        self._each("delete", self._delete, list(self.observe().units))
        self.sweep()

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
            status: sum(unit.status == status for unit in units)
            for status in ("running", "stopped", "failed", "changing")
        }

    def _create(self, unit: Unit, digest: str) -> None:
        options: VMOptions = {**self._options}
        options["tags"] = {**options.get("tags", {}), FLEET_TAG: self._fleet, PLAN_TAG: digest[:16]}
        if unit.spot:
            options["spot"] = options.get("spot", Spot())
        try:
            self._client.create_vm(self._rg, unit.name, unit.location, unit.size, **options)
        except ConflictError as conflict:
            # Perhaps begun by an apply that died; it is ours if it bears our tag.
            try:
                self._settle(unit)
            except AzureNotFoundError:
                raise conflict from None

    def _settle(self, unit: Unit) -> None:
        machine = self._client.wait_settled(self._rg, unit.name)
        if not self._is_ours(machine):
            raise ConflictError(
                f"there is a machine {unit.name} in {self._rg} that is not of fleet {self._fleet}"
            )
        if machine.state is VMState.FAILED:
            self._client.delete_vm(self._rg, unit.name)
            raise ConflictError(f"{unit.name} had failed, and was deleted", fix="plan and apply again")
        self._change(unit)

    def _change(self, unit: Unit) -> None:
        machine = self._client.wait_settled(self._rg, unit.name)
        if machine.vm_size != unit.size:
            machine = self._client.resize_vm(self._rg, unit.name, unit.size)
        if machine.state is not VMState.RUNNING:
            self._client.start_vm(self._rg, unit.name)

    def _delete(self, unit: Unit) -> None:
        self._client.delete_vm(self._rg, unit.name)

    def _check_quota(self, plan: Plan, there: Mapping[str, Unit]) -> None:
        missing = [unit for unit in plan.creates if unit.name not in there]
        for location, cores in plan.quota_needed.items():
            used, limit = self._client.quota(location)
            needed = cores if len(missing) == len(plan.creates) else 0
            if used + needed > limit:
                raise QuotaError(
                    f"{needed} cores are needed in {location}; {used} of {limit} are in use",
                    fix="ask for more quota in the portal (Usage + quotas), or plan fewer machines",
                )

    def _each(self, action: str, do: Callable[[Unit], None], units: list[Unit], digest: str = "") -> None:
        if not units:
            return

        def one(unit: Unit) -> None:
            with self._recorded(action, unit, digest):
                do(unit)

        with ThreadPoolExecutor(min(self._parallel, len(units))) as pool:
            outcomes = [pool.submit(one, unit) for unit in units]
        for outcome in outcomes:
            outcome.result()

    def _recorded(self, action: str, unit: Unit, digest: str) -> AbstractContextManager[object]:
        """What is about to be done to a machine, on record before it is."""
        if self._book is None:
            return nullcontext()
        facts = {"size": unit.size, "location": unit.location, "spot": unit.spot, "resource_group": self._rg}
        return self._book.unit(unit.name, action, facts | ({"plan": digest} if digest else {}))

    def _is_ours(self, machine: VirtualMachine) -> bool:
        return machine.tags.get(FLEET_TAG) == self._fleet


def _unit(machine: VirtualMachine) -> Unit:
    status = _STATUS.get(machine.state, "changing")
    return Unit(machine.name, machine.vm_size, machine.location, machine.spot, status)
