"""What Azure does with virtual machines."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elspeth.testing.arm.faults import Refusal
from elspeth.testing.arm.paths import Target
from elspeth.testing.arm.world import NIC_RESERVATION_SECONDS, Operation, Stored, World, quotas_of

POWER = {
    "start": ("starting", "running"), "poweroff": ("stopping", "stopped"), "restart": ("running", "running"),
    "deallocate": ("deallocating", "deallocated"), "redeploy": ("starting", "running"), "reapply": ("", ""),
}  # fmt: skip
"""Action → power state while it runs, and after it."""


@dataclass(slots=True)
class Machines:
    """Virtual machines of a `World`."""

    world: World

    def __post_init__(self) -> None:
        self.world.remove = lambda machine: self.deleted(machine, failed=False)

    def create(self, target: Target, body: dict[str, Any]) -> tuple[Stored, Operation]:
        """PUT of a name that is free. Raises Refusal."""
        world, properties = self.world, body.get("properties", {})
        size = properties.get("hardwareProfile", {}).get("vmSize", "")
        self._check_name(target.name, properties)
        self.check_size(body["location"], size)
        self.check_quota(body["location"], size, properties, world.sizes[size])
        self._check_login(properties)
        nics = [self._nic(one["id"], target.id, body["location"]) for one in self._nic_references(properties)]
        if not nics:
            raise Refusal(
                400, "InvalidParameter", "Virtual machine must have at least one network interface."
            )
        stored = world.put(
            Stored(target.id, target.kind, deepcopy(body), world.clock.now(), power="starting")
        )
        moment = datetime.fromtimestamp(world.clock.now(), UTC).isoformat()
        stored.body.update(id=target.id, name=target.name, type=target.kind)
        stored.properties.update(provisioningState="Creating", vmId=world.new_id(), timeCreated=moment)
        stored.properties.get("osProfile", {}).pop("customData", None)
        self.name_disks(stored)
        if "identity" in stored.body and "SystemAssigned" in stored.body["identity"]["type"]:
            stored.body["identity"]["principalId"] = world.new_id()
        for nic in nics:
            nic.reserved_for = target.key
        operation = world.begin(target.id, "create", lambda: self._created(stored, size))
        for nic in nics:
            nic.reserved_until = operation.due + NIC_RESERVATION_SECONDS
        return stored, operation

    def creating(self, stored: Stored, body: dict[str, Any]) -> Operation | None:
        """The operation that is creating this machine already: who asks twice for the same gets one
        machine.
        """
        under_way = self.world.busy(stored.id)
        same = stored.properties.get("hardwareProfile") == body.get("properties", {}).get("hardwareProfile")
        if stored.properties["provisioningState"] == "Creating" and same and under_way:
            return under_way[0]
        return None

    def update(self, stored: Stored, body: dict[str, Any]) -> Operation:
        """PATCH, or PUT of a machine that exists. Raises Refusal."""
        world = self.world
        self._check_idle(stored)
        size = body.get("properties", {}).get("hardwareProfile", {}).get("vmSize")
        before = stored.properties["hardwareProfile"]["vmSize"]
        if size is not None and size != before:
            self.check_size(stored.body["location"], size)
            more = world.sizes[size] - world.sizes[before]
            self.check_quota(stored.body["location"], size, stored.properties, more)

        def finish() -> None:
            _merge(stored.body, {key: body[key] for key in ("tags", "properties", "identity") if key in body})
            stored.properties["provisioningState"] = "Succeeded"
            stored.version += 1

        stored.properties["provisioningState"] = "Updating"
        return world.begin(stored.id, "update", finish)

    def delete(self, stored: Stored) -> Operation:
        """DELETE: what is under way on the machine ends, and what goes with it goes."""
        self.world.preempt(stored.id)
        # One that never ran leaves its interface, reserved; one of which a later operation failed does not.
        failed = stored.properties.get("provisioningState") == "Creating" or not stored.power
        stored.properties["provisioningState"] = "Deleting"
        return self.world.begin(stored.id, "delete", lambda: self.deleted(stored, failed))

    def act(self, stored: Stored, action: str, body: dict[str, Any]) -> Operation | None:
        """A POST on a machine; None for those that are done at once. Raises Refusal."""
        self._check_idle(stored)
        if action == "generalize":
            if stored.power not in ("stopped", "deallocated"):
                raise Refusal(409, "OperationNotAllowed", "The VM must be stopped before it is generalized.")
            stored.generalized = True
            return None
        if action in ("start", "restart", "redeploy") and stored.generalized:
            raise Refusal(409, "OperationNotAllowed", "Operation is not allowed since the VM is generalized.")
        if action in POWER:
            return self._power(stored, action)
        if action == "attachdetachdatadisks":
            return self._disks(stored, body)
        if stored.power != "running":
            raise Refusal(409, "OperationNotAllowed", "Cannot modify extensions when the VM is not running.")
        result = {
            "runcommand": _run_command, "assesspatches": _assessment, "installpatches": _installation,
        }.get(action)  # fmt: skip
        if result is None:
            raise Refusal(404, "NotFound", f"There is no action {action!r}.")
        return self.world.begin(stored.id, action, lambda: result(body))

    def view(self, stored: Stored) -> dict[str, Any]:
        """The instance view: how the machine is just now."""
        provisioning = stored.properties["provisioningState"].lower()
        statuses = [
            {"code": f"ProvisioningState/{provisioning}", "level": "Info", "displayStatus": provisioning}
        ]
        if stored.power:
            statuses.append(
                {"code": f"PowerState/{stored.power}", "level": "Info", "displayStatus": f"VM {stored.power}"}
            )
        if stored.generalized:
            statuses.append(
                {"code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized"}
            )
        return {"statuses": statuses}

    def _created(self, stored: Stored, size: str) -> tuple[str, str] | None:
        world = self.world
        if (stored.body["location"], size) in world.full:
            stored.properties["provisioningState"] = "Failed"
            stored.power = ""
            return (
                "AllocationFailed",
                f"Allocation failed. There is not enough capacity for {size} in this region.",
            )
        stored.properties["provisioningState"] = "Succeeded"
        stored.power = "running"
        stored.version += 1
        for one in self._nic_references(stored.properties):
            nic = world.find(one["id"])
            if nic is not None:
                nic.properties["virtualMachine"] = {"id": stored.id}
                nic.reserved_for = ""
        for disk in self.disk_parts(stored):
            self.make_disk(stored, disk)
        return None

    def deleted(self, stored: Stored, failed: bool) -> None:
        """Take a machine away, with what goes with it; ``failed``: it never ran."""
        world = self.world
        for one in self._nic_references(stored.properties):
            nic = world.find(one["id"])
            if nic is None or failed:
                continue
            nic.properties.pop("virtualMachine", None)
            if (one.get("properties") or {}).get("deleteOption") == "Delete":
                self._drop_nic(nic)
        for disk in self.disk_parts(stored):
            found = world.find((disk.get("managedDisk") or {}).get("id", ""))
            if found is not None and disk.get("deleteOption") == "Delete":
                world.drop(found.id)
            elif found is not None:
                found.body.pop("managedBy", None)
                found.properties["diskState"] = "Unattached"
        world.drop(stored.id)

    def _drop_nic(self, nic: Stored) -> None:
        for configuration in nic.properties.get("ipConfigurations", []):
            address = configuration.get("properties", {}).get("publicIPAddress") or {}
            if address.get("id") and (address.get("properties") or {}).get("deleteOption") == "Delete":
                self.world.drop(address["id"])
        self.world.drop(nic.id)

    def _power(self, stored: Stored, action: str) -> Operation:
        during, after = POWER[action]
        size = stored.properties["hardwareProfile"]["vmSize"]

        def finish() -> tuple[str, str] | None:
            stored.properties["provisioningState"] = "Succeeded"
            if action == "start" and (stored.body["location"], size) in self.world.full:
                stored.power = "deallocated"
                return "AllocationFailed", f"Allocation failed. There is not enough capacity for {size}."
            stored.power = after or stored.power
            return None

        stored.properties["provisioningState"] = "Updating"
        stored.power = during or stored.power
        return self.world.begin(stored.id, action, finish)

    def _disks(self, stored: Stored, body: dict[str, Any]) -> Operation:
        profile = stored.properties["storageProfile"]
        present: list[dict[str, Any]] = profile.setdefault("dataDisks", [])
        detached = {one["diskId"].lower() for one in body.get("dataDisksToDetach") or []}
        attached = body.get("dataDisksToAttach") or []
        for one in attached:
            disk = self.world.find(one["diskId"])
            if disk is None:
                raise Refusal(404, "NotFound", f"Disk {one['diskId']} was not found.")
            if disk.body.get("managedBy"):
                raise Refusal(
                    409, "AttachDiskWhileBeingDetached", f"Disk {one['diskId']} is attached already."
                )

        def finish() -> dict[str, Any]:
            for part in [one for one in present if one["managedDisk"]["id"].lower() in detached]:
                present.remove(part)
                self._mark(part["managedDisk"]["id"], None)
            for one in attached:
                lun = one.get("lun", min(set(range(64)) - {part["lun"] for part in present}))
                present.append(
                    {"lun": lun, "createOption": "Attach", "name": one["diskId"].rsplit("/", 1)[1],
                     "deleteOption": one.get("deleteOption", "Detach"), "managedDisk": {"id": one["diskId"]}}
                )  # fmt: skip
                self._mark(one["diskId"], stored.id)
            stored.properties["provisioningState"] = "Succeeded"
            return deepcopy(profile)

        stored.properties["provisioningState"] = "Updating"
        return self.world.begin(stored.id, "attachdetachdatadisks", finish)

    def _mark(self, disk_id: str, owner: str | None) -> None:
        disk = self.world.find(disk_id)
        if disk is not None:
            disk.properties["diskState"] = "Attached" if owner else "Unattached"
            disk.body.pop("managedBy", None)
            if owner:
                disk.body["managedBy"] = owner

    def name_disks(self, stored: Stored) -> None:
        """Name the disks that the request does not name."""
        group = stored.id.split("/providers/", 1)[0]
        for number, disk in enumerate(self.disk_parts(stored)):
            name = disk.setdefault("name", f"{stored.body['name']}_disk{number}")
            managed = disk.setdefault("managedDisk", {})
            managed.setdefault("id", f"{group}/providers/Microsoft.Compute/disks/{name}")

    def make_disk(self, stored: Stored, part: dict[str, Any]) -> None:
        """Make a machine's disk."""
        disk_id = part["managedDisk"]["id"]
        if self.world.find(disk_id) is not None:
            return self._mark(disk_id, stored.id)
        properties = {
            "creationData": {"createOption": "FromImage" if "osType" in part else "Empty"},
            "diskSizeGB": part.get("diskSizeGB", 30),
            "provisioningState": "Succeeded",
            "diskState": "Attached",
        }  # fmt: skip
        body = {
            "id": disk_id, "name": part["name"], "type": "Microsoft.Compute/disks", "managedBy": stored.id,
            "location": stored.body["location"], "tags": dict(stored.body.get("tags") or {}),
            "properties": properties,
        }  # fmt: skip
        self.world.put(Stored(disk_id, "Microsoft.Compute/disks", body, self.world.clock.now()))
        return None

    def _nic(self, nic_id: str, vm_id: str, region: str) -> Stored:
        nic = in_region(self.world, nic_id, region)
        owner = nic.properties.get("virtualMachine", {}).get("id", "")
        if owner and owner.lower() != vm_id.lower():
            raise Refusal(
                400, "NicInUse", f"Network Interface {nic_id} is used by existing resource {owner}."
            )
        check_reservation(self.world, nic, vm_id)
        return nic

    def _check_name(self, name: str, properties: dict[str, Any]) -> None:
        for what, text in (
            ("name", name),
            ("computerName", properties.get("osProfile", {}).get("computerName", "")),
        ):
            if len(text) > 64:
                raise Refusal(400, "InvalidParameter", f"The {what} {text!r} has more than 64 characters.")

    def check_size(self, region: str, size: str) -> None:
        """Refuse a size that is not for sale there."""
        if size not in self.world.sizes:
            raise Refusal(400, "InvalidParameter", f"The value {size} provided for the VM size is not valid.")
        if (region, size) in self.world.restricted:
            raise Refusal(
                409,
                "SkuNotAvailable",
                f"The requested VM size {size} is not available in location '{region}'.",
            )

    def check_quota(self, region: str, size: str, properties: dict[str, Any], more: int) -> None:
        """Refuse more cores than are allowed."""
        usage = self.world.usage(region)
        for name in quotas_of(size, properties):
            used, limit = usage[name]
            if used + more > limit:
                called = {"cores": "Total Regional Cores", "lowPriorityCores": "LowPriorityCores"}
                raise Refusal(
                    409,
                    "OperationNotAllowed",
                    f"Operation could not be completed as it results in exceeding approved "
                    f"{called.get(name, f'{name} Cores')} quota. Location: {region}, Current Limit: {limit}, "
                    f"Current Usage: {used}, Additional Required: {more}.",
                )

    def _check_login(self, properties: dict[str, Any]) -> None:
        profile = properties.get("osProfile", {})
        linux = profile.get("linuxConfiguration") or {}
        keys = (linux.get("ssh") or {}).get("publicKeys") or []
        if not profile.get("adminPassword") and not keys:
            raise Refusal(400, "InvalidParameter", "Authentication using either SSH or by user name and "
                                                   "password must be enabled in Linux profile.")  # fmt: skip

    def _check_idle(self, stored: Stored) -> None:
        if self.world.busy(stored.id):
            raise Refusal(409, "Conflict", "The request failed due to conflict with a concurrent request.")

    def _nic_references(self, properties: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = properties.get("networkProfile", {}).get("networkInterfaces", [])
        return found

    def disk_parts(self, stored: Stored) -> list[dict[str, Any]]:
        """The disks of a machine, the system's first."""
        profile = stored.properties.get("storageProfile", {})
        return [part for part in [profile.get("osDisk"), *profile.get("dataDisks", [])] if part]


def in_region(world: World, resource_id: str, region: str) -> Stored:
    """What something refers to, which must be in its own region."""
    found = world.find(resource_id)
    if found is None or found.body.get("location", region) != region:
        raise Refusal(
            400,
            "InvalidResourceReference",
            f"Resource {resource_id} referenced was not found. Please make sure that the referenced resource "
            "exists, and that both resources are in the same region.",
        )
    return found


def check_reservation(world: World, nic: Stored, wanted_by: str) -> None:
    """Refuse a network interface that Azure keeps for another machine whose creation failed."""
    left = nic.reserved_until - world.clock.now()
    if nic.reserved_for and left > 0 and nic.reserved_for != wanted_by.lower():
        raise Refusal(
            400,
            "NicReservedForAnotherVm",
            f"Nic(s) {nic.id} is reserved for another Virtual Machine {nic.reserved_for}; it can be deleted "
            f"or used after {int(left)} seconds.",
        )


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and key != "tags":
            _merge(into[key], value)
        else:
            into[key] = deepcopy(value)


def _run_command(body: dict[str, Any]) -> dict[str, Any]:
    said = "\n".join(body.get("script") or [])
    message = f"Enable succeeded: \n[stdout]\n{said}\n[stderr]\n"
    status = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
    }
    return {"value": [{**status, "message": message}]}


def _assessment(body: dict[str, Any]) -> dict[str, Any]:
    return {"status": "Succeeded", "rebootPending": False, "criticalAndSecurityPatchCount": 2,
            "otherPatchCount": 5}  # fmt: skip


def _installation(body: dict[str, Any]) -> dict[str, Any]:
    return {"status": "Succeeded", "rebootStatus": "NotNeeded", "installedPatchCount": 2,
            "failedPatchCount": 0, "pendingPatchCount": 0}  # fmt: skip
