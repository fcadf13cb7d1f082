"""Flexible scale sets: so many machines of one kind, which Azure names and keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

from elspeth.providers.azure_vm.bodies import scale_set_body
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import AzureNotFoundError, ConflictError, translated
from elspeth.providers.azure_vm.machine import VirtualMachine, VMOptions, VMState, plain


@dataclass(frozen=True, slots=True)
class ScaleSet:
    """A scale set. ``state`` is that of the set; its machines have their own."""

    id: str
    name: str
    location: str
    vm_size: str
    capacity: int
    state: VMState
    tags: Mapping[str, str]
    spot: bool


class ScaleSets:
    """The scale sets that a client can reach; raises what the client raises."""

    def __init__(self, client: AzureVMClient) -> None:
        self._client = client
        self._connection = client.connection

    @property
    def _sets(self) -> Any:
        return self._connection.compute.virtual_machine_scale_sets

    def create(
        self, rg_name: str, name: str, offer: tuple[str, str], capacity: int, **options: Unpack[VMOptions]
    ) -> ScaleSet:
        """Create a set of ``capacity`` machines at an offer (location and size), and wait until they run.

        Raises ConflictError for a name in use. Where Azure accepts it and fails later (`CapacityError`), a
        set in state ``failed`` remains, which `delete` removes.
        """
        try:
            there = self.get(rg_name, name)
        except AzureNotFoundError as error:
            if error.code == "ResourceGroupNotFound":
                raise
        else:
            raise ConflictError(
                f"there is a scale set {name} in {rg_name} already; it is {there.state}",
                fix="take another name, or delete it first",
            )
        subnet_id = options.get("subnet_id") or self._client.default_subnet(rg_name, offer[0])
        options.setdefault("ssh_public_key", self._client.nobodys_key)
        body = scale_set_body(name, offer, capacity, subnet_id, options)
        self._wait(f"create scale set {name} in {rg_name}", "create_or_update", rg_name, name, body)
        return self.get(rg_name, name)

    def get(self, rg_name: str, name: str) -> ScaleSet:
        """One set as it is just now. Raises AzureNotFoundError."""
        with translated(f"look at scale set {name} in {rg_name}"):
            return _from_wire(plain(self._sets.get(rg_name, name)))

    def list(self, rg_name: str) -> list[ScaleSet]:
        """All sets of a resource group; a list that fails half-way raises."""
        with translated(f"list scale sets of {rg_name}"):
            return [_from_wire(plain(one)) for one in self._sets.list(rg_name)]

    def scale(self, rg_name: str, name: str, capacity: int) -> None:
        """Give it another number of machines, and wait until that is so."""
        body = {"sku": {"capacity": capacity}}
        self._wait(f"scale {name} in {rg_name} to {capacity}", "update", rg_name, name, body)

    def delete(self, rg_name: str, name: str) -> None:
        """Delete it with all its machines. One that is gone already is no error."""
        try:
            self._wait(f"delete scale set {name} in {rg_name}", "delete", rg_name, name)
        except AzureNotFoundError as error:
            if error.code == "ResourceGroupNotFound":
                raise

    def _wait(self, doing: str, kind: str, rg_name: str, name: str, *body: Any) -> None:
        begin = getattr(self._sets, f"begin_{kind}")
        with translated(doing):
            poller = self._connection.patiently(
                lambda: begin(rg_name, name, *body, polling=self._connection.polling())
            )
            poller.result()


def set_of(machine: VirtualMachine) -> str:
    """The id of the scale set that a machine belongs to, in small letters; empty if to none."""
    reference = (machine.raw.get("properties") or {}).get("virtualMachineScaleSet") or {}
    return str(reference.get("id", "")).lower()


def _from_wire(raw: Mapping[str, Any]) -> ScaleSet:
    properties = raw.get("properties") or {}
    states = {"creating": VMState.PENDING, "updating": VMState.UPDATING, "deleting": VMState.DELETING}
    states |= {"failed": VMState.FAILED, "canceled": VMState.FAILED}
    sku = raw.get("sku") or {}
    return ScaleSet(
        raw["id"],
        raw["name"],
        raw.get("location", ""),
        sku.get("name", ""),
        int(sku.get("capacity") or 0),
        states.get(str(properties.get("provisioningState")).lower(), VMState.RUNNING),
        dict(raw.get("tags") or {}),
        (properties.get("virtualMachineProfile") or {}).get("priority") == "Spot",
    )
