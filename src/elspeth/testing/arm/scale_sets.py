"""What Azure does with flexible scale sets: machines of its own naming, made and removed in numbers."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from elspeth.testing.arm.faults import Refusal
from elspeth.testing.arm.machines import Machines, in_region
from elspeth.testing.arm.paths import Target
from elspeth.testing.arm.world import Operation, Stored, World

VMS = "Microsoft.Compute/virtualMachines"
_PRIORITY = ("priority", "evictionPolicy", "billingProfile")
NICS = "Microsoft.Network/networkInterfaces"


@dataclass(slots=True)
class ScaleSets:
    """Flexible virtual machine scale sets of a `World`."""

    world: World
    machines: Machines

    def create(self, target: Target, body: dict[str, Any]) -> Operation:
        """PUT of a name that is free. Raises Refusal."""
        world, sku, region = self.world, body.get("sku") or {}, body["location"]
        profile = body.get("properties", {}).get("virtualMachineProfile") or {}
        if body.get("properties", {}).get("orchestrationMode") != "Flexible":
            raise Refusal(400, "InvalidParameter", "Only the orchestration mode Flexible is known here.")
        for one in (profile.get("networkProfile") or {}).get("networkInterfaceConfigurations") or []:
            for ip in one["properties"]["ipConfigurations"]:
                in_region(world, ip["properties"]["subnet"]["id"].rsplit("/subnets/", 1)[0], region)
        self.machines.check_size(region, sku.get("name", ""))
        self._check_room(region, sku["name"], profile, int(sku.get("capacity", 0)))
        stored = world.put(Stored(target.id, target.kind, deepcopy(body), world.clock.now()))
        stored.body.update(id=target.id, name=target.name, type=target.kind)
        stored.properties.update(provisioningState="Creating", uniqueId=world.new_id())
        (stored.properties["virtualMachineProfile"].get("osProfile") or {}).pop("customData", None)
        return world.begin(target.id, "create", lambda: self._scaled(stored, int(sku.get("capacity", 0))))

    def update(self, stored: Stored, body: dict[str, Any]) -> Operation:
        """PATCH of the capacity. Raises Refusal."""
        if self.world.busy(stored.id):
            raise Refusal(409, "Conflict", "The request failed due to conflict with a concurrent request.")
        wanted = int((body.get("sku") or {}).get("capacity", stored.body["sku"]["capacity"]))
        more = wanted - len(self.instances(stored))
        if more > 0:
            profile = stored.properties["virtualMachineProfile"]
            self._check_room(stored.body["location"], stored.body["sku"]["name"], profile, more)
        stored.properties["provisioningState"] = "Updating"
        return self.world.begin(stored.id, "create", lambda: self._scaled(stored, wanted))

    def delete(self, stored: Stored) -> Operation:
        """DELETE: its machines go with it."""
        self.world.preempt(stored.id)
        stored.properties["provisioningState"] = "Deleting"

        def finish() -> None:
            for machine in self.instances(stored):
                self.machines.deleted(machine, failed=False)
            self.world.drop(stored.id)

        return self.world.begin(stored.id, "delete", finish)

    def instances(self, stored: Stored) -> list[Stored]:
        """The machines of a set, oldest first."""
        key = stored.id.lower()
        found = self.world.of_kind(VMS)
        return [
            one
            for one in found
            if one.properties.get("virtualMachineScaleSet", {}).get("id", "").lower() == key
        ]

    def _check_room(self, region: str, size: str, profile: dict[str, Any], more: int) -> None:
        self.machines.check_quota(region, size, profile, more * self.world.sizes[size])

    def _scaled(self, stored: Stored, wanted: int) -> tuple[str, str] | None:
        present, size = self.instances(stored), stored.body["sku"]["name"]
        if wanted > len(present) and (stored.body["location"], size) in self.world.full:
            stored.properties["provisioningState"] = "Failed"
            return "AllocationFailed", f"Allocation failed. There is not enough capacity for {size}."
        for machine in present[wanted:]:
            self.machines.deleted(machine, failed=False)
        for _ in range(wanted - len(present)):
            self._make(stored, size)
        stored.body["sku"]["capacity"] = wanted
        stored.properties["provisioningState"] = "Succeeded"
        stored.version += 1
        return None

    def _make(self, stored: Stored, size: str) -> None:
        world, profile = self.world, stored.properties["virtualMachineProfile"]
        group = stored.id.split("/providers/", 1)[0]
        name = f"{stored.body['name']}_{world.new_id()[:8]}"
        common = {"location": stored.body["location"], "tags": dict(stored.body.get("tags") or {})}
        nic_id, vm_id = f"{group}/providers/{NICS}/{name}-nic", f"{group}/providers/{VMS}/{name}"
        nic = {"virtualMachine": {"id": vm_id}, "provisioningState": "Succeeded"}
        world.put(Stored(nic_id, NICS, {"id": nic_id, "name": f"{name}-nic", "type": NICS, **common,
                                        "properties": nic}, world.clock.now()))  # fmt: skip
        storage = deepcopy(profile.get("storageProfile") or {})
        properties = {
            "hardwareProfile": {"vmSize": size}, "storageProfile": storage, "provisioningState": "Succeeded",
            "virtualMachineScaleSet": {"id": stored.id}, "vmId": world.new_id(),
            "networkProfile": {
                "networkInterfaces": [
                    {"id": nic_id, "properties": {"primary": True, "deleteOption": "Delete"}}
                ]
            },
            **{key: profile[key] for key in _PRIORITY if key in profile},
        }  # fmt: skip
        body = {"id": vm_id, "name": name, "type": VMS, **common, "properties": properties}
        machine = world.put(Stored(vm_id, VMS, body, world.clock.now(), power="running"))
        self.machines.name_disks(machine)
        for disk in self.machines.disk_parts(machine):
            self.machines.make_disk(machine, disk)
