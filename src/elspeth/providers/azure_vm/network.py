"""The network interface of a machine: made before it, gone with it."""

from threading import Lock
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from elspeth.providers.azure_vm.bodies import network_body, nic_body
from elspeth.providers.azure_vm.connection import Connection
from elspeth.providers.azure_vm.errors import ConflictError, translated
from elspeth.providers.azure_vm.machine import VMOptions, plain

MACHINE_TAG = "elspeth-machine"
"""The tag of interfaces and addresses that says for which machine we made them; others are left alone."""
RESERVATION_SECONDS = 180.0
"""How long Azure keeps the interface of a machine whose creation failed."""


class Network:
    """What a machine needs to be connected."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subnets: dict[tuple[str, str], str] = {}
        self._lock = Lock()

    def prepare(self, rg_name: str, vm_name: str, location: str, options: VMOptions) -> str:
        """Make the interface (and the address) of a machine; the interface's id."""
        tags = {**options.get("tags", {}), MACHINE_TAG: vm_name}
        with translated(f"create the network interface of {vm_name} in {rg_name}"):
            self._refuse_foreign("network_interfaces", rg_name, f"{vm_name}-nic", vm_name)
            subnet_id = options.get("subnet_id") or self.default_subnet(rg_name, location)
            address_id = (
                self._address(rg_name, vm_name, location, options) if options.get("public_ip") else None
            )
            body = nic_body(location, subnet_id, address_id, tags)
            return self._made("network_interfaces", rg_name, f"{vm_name}-nic", body)

    def remove(self, rg_name: str, vm_name: str, *, patient: bool = True) -> None:
        """Remove the interface and the address of a machine, if they are there.

        ``patient``: wait out a reservation, and fail for what is in use; else leave both where they are.
        """
        with translated(f"remove the network interface of {vm_name} in {rg_name}"):
            for kind, name in (
                ("network_interfaces", f"{vm_name}-nic"),
                ("public_ip_addresses", f"{vm_name}-ip"),
            ):
                if self._owner(kind, rg_name, name) == vm_name:
                    self._gone(kind, rg_name, name, patient)

    def _owner(self, kind: str, rg_name: str, name: str) -> str | None:
        """The machine that a thing was made for; empty if nobody says, None if there is no such thing."""
        try:
            found = plain(getattr(self._connection.network, kind).get(rg_name, name))
        except ResourceNotFoundError as error:
            if error.error is not None and error.error.code == "ResourceGroupNotFound":
                raise
            return None
        if str(found.get("name", "")).lower() != name.lower():
            return None
        return str((found.get("tags") or {}).get(MACHINE_TAG, ""))

    def _refuse_foreign(self, kind: str, rg_name: str, name: str, vm_name: str) -> None:
        if self._owner(kind, rg_name, name) not in (None, vm_name):
            raise ConflictError(
                f"there is a {name} in {rg_name} that was not made for {vm_name}; it is left alone",
                fix="take another name for the machine, or give nic_id",
            )

    def default_subnet(self, rg_name: str, location: str) -> str:
        """The subnet of machines that name none, made if it is not there; networks end at their region."""
        with self._lock:  # Of those who come at the same time one makes it.
            if (rg_name, location) not in self._subnets:
                self._subnets[rg_name, location] = self._find_subnet(rg_name, location)
            return self._subnets[rg_name, location]

    def _find_subnet(self, rg_name: str, location: str) -> str:
        name = f"{rg_name}-{location}-vnet"
        network = self._connection.network
        try:
            return str(plain(network.subnets.get(rg_name, name, "default"))["id"])
        except ResourceNotFoundError as error:
            if error.error is not None and error.error.code == "ResourceGroupNotFound":
                raise
        return self._made("virtual_networks", rg_name, name, network_body(location)) + "/subnets/default"

    def _address(self, rg_name: str, vm_name: str, location: str, options: VMOptions) -> str:
        self._refuse_foreign("public_ip_addresses", rg_name, f"{vm_name}-ip", vm_name)
        tags = {**options.get("tags", {}), MACHINE_TAG: vm_name}
        body: dict[str, Any] = {
            "location": location, "tags": tags, "sku": {"name": "Standard"},
            "properties": {"publicIPAllocationMethod": "Static", "deleteOption": "Delete"},
        }  # fmt: skip
        return self._made("public_ip_addresses", rg_name, f"{vm_name}-ip", body)

    def _made(self, kind: str, rg_name: str, name: str, body: dict[str, Any]) -> str:
        group = getattr(self._connection.network, kind)
        poller = group.begin_create_or_update(rg_name, name, body, polling=self._connection.polling())
        return str(plain(poller.result())["id"])

    def _gone(self, kind: str, rg_name: str, name: str, patient: bool) -> None:
        group = getattr(self._connection.network, kind)
        clock = self._connection.clock
        until = clock.now() + RESERVATION_SECONDS + 60.0
        while True:
            try:
                group.begin_delete(rg_name, name, polling=self._connection.polling()).result()
                return
            except ResourceNotFoundError:
                return
            except HttpResponseError as error:
                code = error.error.code if error.error is not None else ""
                if not patient and code in (
                    "NicReservedForAnotherVm",
                    "NicInUse",
                    "PublicIPAddressCannotBeDeleted",
                ):
                    return
                if code != "NicReservedForAnotherVm" or clock.now() > until:
                    raise
            clock.sleep(10.0)
