"""A fleet's scale set: put where there is room for it, scaled, taken away."""

from elspeth.fabric.adapter import Offer, Unit
from elspeth.providers.azure_vm.errors import AzureNotFoundError, ConflictError, OperationTimeoutError
from elspeth.providers.azure_vm.machine import VirtualMachine, VMState
from elspeth.providers.azure_vm.placing import Placing
from elspeth.providers.azure_vm.scale_sets import ScaleSet, ScaleSets, set_of
from elspeth.providers.azure_vm.waiting import LONGEST_DELAY, LONGEST_OPERATION

_UNSETTLED = (VMState.PENDING, VMState.UPDATING, VMState.DELETING)


class SetPlacing(Placing):
    """The same for a scale set as `Placing` for one machine."""

    def units(self, machines: list[VirtualMachine]) -> tuple[list[Unit], set[str], set[str]]:
        """The fleet's sets as units; the names of others' sets; and the ids of all ours."""
        found = self._sets.list(self.rg_name)
        ours = [one for one in found if self.is_ours(one)]
        units = [self._unit(one, [vm for vm in machines if set_of(vm) == one.id.lower()]) for one in ours]
        return (
            units,
            {one.name for one in found} - {one.name for one in ours},
            {one.id.lower() for one in ours},
        )

    def create(self, unit: Unit, offer: Offer, digest: str) -> None:
        """Make the set there."""
        options = self.options_for(unit, offer, digest)
        self._sets.create(self.rg_name, unit.name, (offer.location, offer.size), unit.machines, **options)

    def settled(self, unit: Unit) -> ScaleSet:
        """The set once nothing is under way on it. ConflictError for a foreign one."""
        clock, delay = self._client.connection.clock, 1.0
        until = clock.now() + LONGEST_OPERATION
        while (found := self._sets.get(self.rg_name, unit.name)).state in _UNSETTLED:
            if clock.now() > until:
                raise OperationTimeoutError(f"{unit.name} is {found.state} for more than 30 minutes")
            clock.sleep(delay)
            delay = min(LONGEST_DELAY, delay * 2)
        if not self.is_ours(found):
            raise ConflictError(
                f"there is a scale set {unit.name} in {self.rg_name} that is not of fleet {self._fleet}"
            )
        return found

    def change(self, unit: Unit, size: str) -> None:
        """Give it its number of machines, and let all of them run."""
        found = self.settled(unit)
        if len(self._machines(found)) != unit.machines:
            self._sets.scale(self.rg_name, unit.name, unit.machines)
        for machine in self._machines(found):
            if machine.state in (VMState.STOPPED, VMState.DEALLOCATED):
                self._client.start_vm(self.rg_name, machine.name)

    def delete(self, unit: Unit, *, keep_network: bool = False) -> None:
        """Remove it with its machines. ConflictError for a foreign one."""
        try:
            if not self.is_ours(self._sets.get(self.rg_name, unit.name)):
                raise ConflictError(
                    f"the scale set {unit.name} in {self.rg_name} is not of fleet {self._fleet}; left alone"
                )
        except AzureNotFoundError:
            return
        self._sets.delete(self.rg_name, unit.name)

    @property
    def _sets(self) -> ScaleSets:
        return ScaleSets(self._client)

    def _machines(self, one: ScaleSet) -> list[VirtualMachine]:
        return [vm for vm in self._client.list_vms(self.rg_name) if set_of(vm) == one.id.lower()]

    def _unit(self, one: ScaleSet, machines: list[VirtualMachine]) -> Unit:
        status = {VMState.FAILED: "failed", VMState.RUNNING: "running"}.get(one.state, "changing")
        states = {machine.state for machine in machines}
        if status == "running" and states & {VMState.STOPPED, VMState.DEALLOCATED}:
            status = "stopped"
        elif status == "running" and states - {VMState.RUNNING}:
            status = "changing"
        return Unit(one.name, one.vm_size, one.location, one.spot, status, members=len(machines))
