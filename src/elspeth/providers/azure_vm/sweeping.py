"""What bears a fleet's tag and belongs to no machine: found, and removed."""

from collections.abc import Sequence
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from elspeth.providers.azure_vm.connection import Connection
from elspeth.providers.azure_vm.errors import translated
from elspeth.providers.azure_vm.machine import VirtualMachine
from elspeth.providers.azure_vm.network import RESERVATION_SECONDS


class Sweeper:
    """Network interfaces, disks and addresses of one fleet in one resource group."""

    def __init__(self, connection: Connection, rg_name: str, tag: str, fleet: str) -> None:
        self._connection = connection
        self._rg = rg_name
        self._tag = tag
        self._fleet = fleet

    def strays(self, machines: Sequence[VirtualMachine]) -> list[str]:
        """The ids, in an order in which they can be deleted. ``machines``: all of the resource group."""
        used = {one.lower() for machine in machines for one in (*machine.nic_ids, *machine.disk_ids)}
        network, compute = self._connection.network, self._connection.compute
        with translated(f"look for strays in {self._rg}"):
            nics = [one.as_dict() for one in network.network_interfaces.list(self._rg)]
            disks = [one.as_dict() for one in compute.disks.list_by_resource_group(self._rg)]
            addresses = [one.as_dict() for one in network.public_ip_addresses.list(self._rg)]
        loose_nics = [
            one for one in nics if self._is_loose(one, used) and not _properties(one).get("virtualMachine")
        ]
        loose = {one["id"].lower() for one in loose_nics}
        held = {address for one in nics if one["id"].lower() not in loose for address in _addresses(one)}
        loose_disks = [one for one in disks if self._is_loose(one, used) and not one.get("managedBy")]
        loose_addresses = [one for one in addresses if self._is_loose(one, held)]
        return [one["id"] for one in (*loose_nics, *loose_disks, *loose_addresses)]

    def sweep(self, machines: Sequence[VirtualMachine]) -> list[str]:
        """Delete the strays; waits for interfaces that Azure keeps reserved (180 s)."""
        found = self.strays(machines)
        for one in found:
            with translated(f"sweep {one}"):
                self._delete(one)
        return found

    def _is_loose(self, resource: dict[str, Any], used: set[str]) -> bool:
        return (resource.get("tags") or {}).get(self._tag) == self._fleet and resource[
            "id"
        ].lower() not in used

    def _delete(self, resource_id: str) -> None:
        kind, name = resource_id.split("/")[-2:]
        network, compute = self._connection.network, self._connection.compute
        operations: dict[str, Any] = {
            "networkinterfaces": network.network_interfaces,
            "publicipaddresses": network.public_ip_addresses,
            "disks": compute.disks,
        }
        clock, until = self._connection.clock, self._connection.clock.now() + RESERVATION_SECONDS + 60.0
        while True:
            try:
                delete = operations[kind.lower()].begin_delete
                delete(self._rg, name, polling=self._connection.polling()).result()
                return
            except ResourceNotFoundError:
                return
            except HttpResponseError as error:
                code = error.error.code if error.error is not None else ""
                if code != "NicReservedForAnotherVm" or clock.now() > until:
                    raise
            clock.sleep(10.0)


def _properties(resource: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resource.get("properties") or {}
    return found


def _addresses(nic: dict[str, Any]) -> list[str]:
    configurations = _properties(nic).get("ipConfigurations") or []
    found = [_properties(one).get("publicIPAddress") or {} for one in configurations]
    return [str(one["id"]).lower() for one in found if one.get("id")]
