"""`AzureVMClient`: virtual machines in Azure, created, watched, changed and removed."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Unpack

from azure.core.credentials import TokenCredential

from elspeth.contracts.errors import UsageError
from elspeth.providers.azure_vm.bodies import machine_body, throwaway_key
from elspeth.providers.azure_vm.connection import Connection, ConnectionOptions
from elspeth.providers.azure_vm.errors import (
    AzureNotFoundError,
    AzureVMError,
    ConflictError,
    InvalidRequestError,
    OperationTimeoutError,
    translated,
)
from elspeth.providers.azure_vm.guest import Guest
from elspeth.providers.azure_vm.machine import (
    VirtualMachine,
    VMOptions,
    VMState,
    from_wire,
    plain,
    power_state,
)
from elspeth.providers.azure_vm.market import REGIONAL_QUOTA, usages
from elspeth.providers.azure_vm.network import Network
from elspeth.providers.azure_vm.operations import PendingOperation
from elspeth.providers.azure_vm.waiting import LONGEST_DELAY, LONGEST_OPERATION

LONGEST_NAME = 64
_UNSETTLED = (VMState.PENDING, VMState.UPDATING, VMState.DELETING)
_WITH_BODY = frozenset(
    {"create_or_update", "update", "attach_detach_data_disks", "run_command", "install_patches"}
)


class AzureVMClient(Guest):
    """Virtual machines of one subscription.

    ``credential_factory`` is called once, when first needed; without one it is azure-identity's
    DefaultAzureCredential. ``connection`` as `ConnectionOptions`. Threads may share a client. Every method
    waits until Azure is done (30 minutes at most), and raises a subclass of `AzureVMError`. A context
    manager; or call `close`.
    """

    def __init__(
        self,
        credential_factory: Callable[[], TokenCredential] | None = None,
        subscription_id: str = "",
        **connection: Unpack[ConnectionOptions],
    ) -> None:
        if not subscription_id:
            raise UsageError(
                "no Azure subscription is named",
                fix="give subscription_id (`az account show --query id` prints it)",
            )
        super().__init__(Connection(credential_factory, subscription_id, connection))
        self._network = Network(self.connection)

    def __enter__(self) -> "AzureVMClient":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @cached_property
    def nobodys_key(self) -> str:
        """A public SSH key whose private half is gone; for machines that are given none."""
        return throwaway_key()

    def default_subnet(self, rg_name: str, location: str) -> str:
        """The subnet of machines that name none; its network is made if it is not there."""
        with translated(f"make the network of {rg_name} in {location}"):
            return self._network.default_subnet(rg_name, location)

    def close(self) -> None:
        """Close all connections. Operations under way go on in Azure."""
        self.connection.close()

    def create_resource_group(
        self, rg_name: str, location: str, tags: Mapping[str, str] | None = None
    ) -> None:
        """Make a resource group, which costs nothing; no change if it is there."""
        body = {"location": location, "tags": dict(tags or {})}
        with translated(f"create resource group {rg_name}"):
            self.connection.resource.resource_groups.create_or_update(rg_name, body)

    def has_resource_group(self, rg_name: str) -> bool:
        """Whether there is such a resource group."""
        try:
            with translated(f"look for resource group {rg_name}"):
                self.connection.resource.resource_groups.get(rg_name)
        except AzureNotFoundError as error:
            if error.code == "SubscriptionNotFound":
                raise
            return False
        return True

    def create_vm(
        self, rg_name: str, vm_name: str, location: str, vm_size: str, **options: Unpack[VMOptions]
    ) -> VirtualMachine:
        """Create a machine and wait until it runs. ``options`` as `VMOptions`. Raises ConflictError for a
        name in use.

        A network interface ``<vm_name>-nic`` (and ``<vm_name>-ip``) is made first, and removed again if
        Azure refuses the machine. What goes with the machine when it is deleted: the interface, the
        address, the disks except those to keep.

        Where Azure accepts the machine and fails later (`CapacityError`), a machine in state ``failed``
        remains, and its interface, which Azure reserves for 180 s: `delete_vm` removes both, waiting if
        it must.
        """
        self._check_name(vm_name)
        self._check_free(rg_name, vm_name)
        doing = f"create {vm_name} in {rg_name}"
        options.setdefault("ssh_public_key", self.nobodys_key)
        nic_id = options.get("nic_id") or self._network.prepare(rg_name, vm_name, location, options)
        body = machine_body(vm_name, location, vm_size, nic_id, options)
        try:
            with translated(doing):
                poller = self.begin("create_or_update", rg_name, vm_name, body)
        except Exception:
            # The machine was not accepted: what was made for it would cost money for nothing.
            if "nic_id" not in options:
                self._network.remove(rg_name, vm_name, patient=False)
            raise
        self.wait_for("create_or_update", rg_name, vm_name, poller, doing)
        return self.get_vm(rg_name, vm_name)

    def get_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """One machine as it is just now. Raises AzureNotFoundError."""
        with translated(f"look at {vm_name} in {rg_name}"):
            found = self.vms.get(rg_name, vm_name, expand="instanceView")
            return from_wire(plain(found))

    def wait_settled(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Wait until nothing is under way on a machine, whoever began it; 30 minutes at most."""
        clock, delay = self.connection.clock, 1.0
        until = clock.now() + LONGEST_OPERATION
        while (machine := self.get_vm(rg_name, vm_name)).state in _UNSETTLED:
            if clock.now() > until:
                raise OperationTimeoutError(
                    f"{vm_name} in {rg_name} is {machine.state} for more than 30 minutes"
                )
            clock.sleep(delay)
            delay = min(LONGEST_DELAY, delay * 2)
        return machine

    def list_vms(self, rg_name: str | None = None) -> list[VirtualMachine]:
        """All machines of a resource group, or of the subscription; all pages.

        A list that fails half-way raises: it is never a shorter list. States come from one more list of the
        whole subscription, or one by one where the caller may not read that.
        """
        where = f"list machines of {rg_name}" if rg_name else "list machines"
        with translated(where):
            pages = self.vms.list(rg_name) if rg_name else self.vms.list_all()
            found = [plain(one) for one in pages]
        if not found:
            return []
        views = self._views()
        return [self._with_view(raw, views, rg_name) for raw in found]

    def start_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Start a machine that is stopped or deallocated. Raises CapacityError if Azure has no room for
        it.
        """
        return self._act("start", "start", rg_name, vm_name)

    def stop_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Switch a machine off. It is still billed: `deallocate_vm` is what ends the cost."""
        return self._act("power_off", "stop", rg_name, vm_name)

    def restart_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Restart a machine."""
        return self._act("restart", "restart", rg_name, vm_name)

    def deallocate_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Switch a machine off and give its hardware back: no more cost but for its disks."""
        return self._act("deallocate", "deallocate", rg_name, vm_name)

    def redeploy_vm(self, rg_name: str, vm_name: str) -> VirtualMachine:
        """Move a machine to other hardware; what is on its temporary disk is lost."""
        return self._act("redeploy", "redeploy", rg_name, vm_name)

    def resize_vm(self, rg_name: str, vm_name: str, vm_size: str) -> VirtualMachine:
        """Give a machine another size; one that runs is restarted by Azure.

        Raises QuotaError or CapacityError; a size that the machine's present hardware lacks needs
        `deallocate_vm` first.
        """
        return self._act(
            "update",
            f"resize to {vm_size}",
            rg_name,
            vm_name,
            {"properties": {"hardwareProfile": {"vmSize": vm_size}}},
        )

    def tag_vm(self, rg_name: str, vm_name: str, tags: Mapping[str, str], etag: str = "") -> VirtualMachine:
        """Set all tags of a machine. With ``etag``: only if nobody changed it since, else ConflictError."""
        options = {"etag": etag, "match_condition": _match()} if etag else {}
        return self._act("update", "tag", rg_name, vm_name, {"tags": dict(tags)}, **options)

    def delete_vm(self, rg_name: str, vm_name: str, *, keep_network: bool = False) -> None:
        """Delete a machine and what belongs to it. A machine that is gone already is no error.

        An interface that Azure keeps reserved after a failed creation is waited for (180 s at most);
        ``keep_network`` leaves it where it is, for a machine of the same name in the same region.
        """
        doing = f"delete {vm_name} in {rg_name}"
        try:
            with translated(doing):
                poller = self.begin("delete", rg_name, vm_name)
            self.wait_for("delete", rg_name, vm_name, poller, doing)
        except AzureNotFoundError as error:
            if error.code == "ResourceGroupNotFound":
                raise
        if not keep_network:
            self._network.remove(rg_name, vm_name)

    def pending_operations(self) -> list[PendingOperation]:
        """Operations that Azure had accepted when an earlier process ended, or stopped waiting; see
        `resume`.
        """
        return self.connection.operations.pending()

    def resume(self, operation: PendingOperation) -> VirtualMachine | None:
        """Wait on for an operation. The machine, or None if it was deleted. The 30 minutes count from its
        start.
        """
        doing = f"resume {operation.kind} of {operation.vm_name} in {operation.rg_name}"
        with translated(doing):
            poller = getattr(self.vms, f"begin_{operation.kind}")(
                operation.rg_name,
                operation.vm_name,
                *([{}] if operation.kind in _WITH_BODY else []),
                continuation_token=operation.token,
                polling=self.connection.polling(operation.started_at),
            )
            self.connection.finish(operation, poller)
        if operation.kind == "delete":
            return None
        return self.get_vm(operation.rg_name, operation.vm_name)

    def quota(self, location: str) -> tuple[int, int]:
        """Cores in use and cores allowed in a region, of all families together."""
        found = usages(self.connection, location).get(REGIONAL_QUOTA)
        if found is None:
            raise InvalidRequestError(
                f"Azure tells no quota of cores for {location}", fix="check the region's name"
            )
        return found

    def _views(self) -> dict[str, Mapping[str, Any]]:
        try:
            with translated("list states of machines"):
                found = [plain(one) for one in self.vms.list_all(status_only="true")]
        except AzureVMError as error:
            if not 400 <= error.status < 500 or error.status in (401, 429):
                raise
            # Not for this caller, or not in this cloud: each machine is asked for its state instead.
            return {}
        return {str(one["id"]).lower(): one for one in found}

    def _with_view(
        self, raw: dict[str, Any], views: Mapping[str, Mapping[str, Any]], rg_name: str | None
    ) -> VirtualMachine:
        known = views.get(str(raw["id"]).lower())
        if known is not None and power_state(known):
            view = known["properties"]["instanceView"]
            return from_wire({**raw, "properties": {**raw["properties"], "instanceView": view}})
        try:
            return self.get_vm(rg_name or str(raw["id"]).split("/")[4], raw["name"])
        except AzureNotFoundError:
            # Gone between the two questions; the list still had it.
            return from_wire({**raw, "properties": {**raw["properties"], "provisioningState": "Deleting"}})

    def _check_free(self, rg_name: str, vm_name: str) -> None:
        try:
            there = self.get_vm(rg_name, vm_name)
        except AzureNotFoundError as error:
            if error.code == "ResourceGroupNotFound":
                raise
            return
        if there.name.lower() != vm_name.lower():
            return
        raise ConflictError(
            f"there is a machine {vm_name} in {rg_name} already; it is {there.state}",
            fix="take another name, or delete it first",
        )

    def _check_name(self, vm_name: str) -> None:
        if not 1 <= len(vm_name) <= LONGEST_NAME:
            raise InvalidRequestError(
                f"the name {vm_name!r} has {len(vm_name)} characters; Azure allows 1 to {LONGEST_NAME}",
                fix="take a shorter name",
            )


def _match() -> Any:
    from azure.core import MatchConditions  # noqa: PLC0415

    return MatchConditions.IfNotModified
