"""Everything that is no machine, and the way to the machines."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from elspeth.testing.arm.faults import Refusal
from elspeth.testing.arm.machines import Machines, check_reservation, in_region
from elspeth.testing.arm.paths import Target
from elspeth.testing.arm.scale_sets import ScaleSets
from elspeth.testing.arm.world import Operation, Stored, World, family_of

GROUPS = "Microsoft.Resources/resourceGroups"
VMS = "Microsoft.Compute/virtualMachines"
NICS = "Microsoft.Network/networkInterfaces"
NETWORKS = "Microsoft.Network/virtualNetworks"
IMAGES = "Microsoft.Compute/images"
SETS = "Microsoft.Compute/virtualMachineScaleSets"
KINDS = {kind.lower(): kind for kind in (
    GROUPS, VMS, SETS, NICS, NETWORKS, IMAGES, "Microsoft.Compute/disks",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/virtualNetworks/subnets",
)}  # fmt: skip


class Resources:
    """GET, PUT, PATCH, DELETE and POST on a `World`. Everything raises Refusal."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machines = Machines(world)
        self.sets = ScaleSets(world, self.machines)

    def get(self, target: Target, query: Mapping[str, str]) -> dict[str, Any]:
        """One resource as it is shown."""
        if target.kind == target.name:
            return {"namespace": target.name, "registrationState": "Registered"}
        view = query.get("$expand", "").lower() == "instanceview"
        return self._shown(self._need(target), view=view)

    def listed(self, target: Target, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """All of a collection."""
        kind = target.kind.lower()
        if kind == "microsoft.compute/locations/usages":
            return self._usages(target.id.rsplit("/", 1)[-1])
        if kind == "microsoft.compute/skus":
            return self._skus(query.get("$filter", ""))
        if target.group:
            self._need_group(target)
        view = query.get("statusOnly", "").lower() == "true"
        return [self._shown(item, view=view) for item in self.world.of_kind(target.kind, f"{target.id}/")]

    def put(
        self, target: Target, body: dict[str, Any], conditions: Mapping[str, str], *, update: bool
    ) -> tuple[bool, Operation | None]:
        """Create or change; says whether it was created."""
        if target.kind.lower() not in KINDS:
            raise Refusal(404, "InvalidResourceType", f"The resource type {target.kind} is not known here.")
        stored = self.world.find(target.id)
        _check_conditions(stored, conditions)
        if update and stored is None:
            self._need(target)
        if target.kind != GROUPS:
            self._need_group(target)
        if stored is None and target.kind != "Microsoft.Network/virtualNetworks/subnets":
            self._check_region(target, body)
        if target.kind.lower() == SETS.lower():
            if stored is None:
                return True, self.sets.create(target, body)
            return False, self.sets.update(stored, body)
        if target.kind.lower() == VMS.lower():
            if stored is None:
                return True, self.machines.create(target, body)[1]
            return False, self.machines.creating(stored, body) or self.machines.update(stored, body)
        return stored is None, self._put_plain(target, body, stored)

    def delete(self, target: Target, conditions: Mapping[str, str]) -> Operation | None:
        """Remove; None if there was nothing."""
        stored = self.world.find(target.id)
        if stored is None:
            return None
        _check_conditions(stored, conditions)
        if target.kind.lower() == VMS.lower():
            return self.machines.delete(stored)
        if target.kind.lower() == SETS.lower():
            return self.sets.delete(stored)
        if target.kind.lower() == NICS.lower():
            check_reservation(self.world, stored, "")
            if "virtualMachine" in stored.properties:
                raise Refusal(
                    400, "NicInUse", f"Network Interface {stored.id} is used by an existing machine."
                )
        if stored.body.get("managedBy"):
            raise Refusal(
                409, "OperationNotAllowed", f"Disk {stored.id} is attached to {stored.body['managedBy']}."
            )
        latency = {"disks": "disk", "images": "disk", "resourceGroups": "group"}.get(
            target.kind.rsplit("/", 1)[1], "network"
        )
        return self.world.begin(stored.id, latency, lambda: self.world.drop(stored.id))

    def post(self, target: Target, body: dict[str, Any]) -> Operation | None:
        """An action on a machine."""
        if target.kind.lower() != VMS.lower():
            raise Refusal(404, "NotFound", f"There is no action {target.action!r} on {target.kind}.")
        return self.machines.act(self._need(target), target.action, body)

    def _put_plain(self, target: Target, body: dict[str, Any], stored: Stored | None) -> Operation | None:
        if target.kind.lower() == IMAGES.lower():
            self._check_image(body)
        if target.kind.lower() == NICS.lower():
            for one in body.get("properties", {}).get("ipConfigurations", []):
                subnet = (one.get("properties", {}).get("subnet") or {}).get("id", "")
                in_region(self.world, subnet.rsplit("/subnets/", 1)[0], body["location"])
        if stored is None:
            kept: dict[str, Any] = {}
            stored = self.world.put(
                Stored(target.id, KINDS[target.kind.lower()], kept, self.world.clock.now())
            )
        else:
            stored.version += 1
        stored.body.update(deepcopy(body), id=target.id, name=target.name)
        if target.kind != "Microsoft.Network/virtualNetworks/subnets":
            stored.body["type"] = stored.kind
        if target.kind == GROUPS:
            stored.properties["provisioningState"] = "Succeeded"
            return None
        if target.kind.lower() == NETWORKS.lower():
            self._put_subnets(stored)
        if target.kind.lower() == "microsoft.compute/disks":
            stored.properties.setdefault("diskState", "Unattached")
        stored.properties["provisioningState"] = "Updating"
        latency = "disk" if target.kind.lower().startswith("microsoft.compute") else "network"
        return self.world.begin(
            stored.id, latency, lambda: stored.properties.update(provisioningState="Succeeded")
        )

    def _put_subnets(self, network: Stored) -> None:
        for subnet in network.properties.get("subnets", []):
            subnet["id"] = f"{network.id}/subnets/{subnet['name']}"
            kind = "Microsoft.Network/virtualNetworks/subnets"
            self.world.put(Stored(subnet["id"], kind, deepcopy(subnet), self.world.clock.now()))

    def _check_image(self, body: dict[str, Any]) -> None:
        source = body.get("properties", {}).get("sourceVirtualMachine", {}).get("id", "")
        machine = self.world.find(source)
        if machine is None or not machine.generalized:
            raise Refusal(
                409, "OperationNotAllowed", "Cannot create an image: the virtual machine is not generalized."
            )

    def _check_region(self, target: Target, body: dict[str, Any]) -> None:
        region = body.get("location", "")
        if region not in self.world.regions:
            raise Refusal(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{region}' is not available for resource type '{target.kind}'. "
                f"List of available regions for the resource type is '{','.join(self.world.regions)}'.",
            )

    def _need(self, target: Target) -> Stored:
        stored = self.world.find(target.id)
        if stored is None:
            self._need_group(target)
            raise Refusal(
                404,
                "ResourceNotFound",
                f"The Resource '{target.kind}/{target.name}' under resource group '{target.group}' "
                "was not found.",
            )
        return stored

    def _need_group(self, target: Target) -> None:
        if (
            not target.group
            or self.world.find(f"/subscriptions/{target.subscription}/resourceGroups/{target.group}") is None
        ):
            raise Refusal(
                404, "ResourceGroupNotFound", f"Resource group '{target.group}' could not be found."
            )

    def _shown(self, stored: Stored, *, view: bool) -> dict[str, Any]:
        body = deepcopy(stored.body)
        if stored.kind not in (GROUPS, "Microsoft.Compute/disks", IMAGES):
            body["etag"] = stored.etag
        if view and stored.kind == VMS:
            body["properties"]["instanceView"] = self.machines.view(stored)
        return body

    def _usages(self, region: str) -> list[dict[str, Any]]:
        if region not in self.world.regions:
            raise Refusal(
                400, "NoRegisteredProviderFound", f"No registered provider found for location '{region}'."
            )
        return [
            {"unit": "Count", "currentValue": used, "limit": limit,
             "name": {"value": name, "localizedValue": name}}
            for name, (used, limit) in self.world.usage(region).items()
        ]  # fmt: skip

    def _skus(self, wanted: str) -> list[dict[str, Any]]:
        asked = re.fullmatch(r"location eq '([^']*)'", wanted)
        regions = [asked[1]] if asked else self.world.regions
        return [
            self._sku(size, region)
            for size in self.world.sizes
            for region in regions
            if region in self.world.regions
        ]

    def _sku(self, size: str, region: str) -> dict[str, Any]:
        closed = (region, size) in self.world.restricted
        restriction = {"type": "Location", "values": [region], "reasonCode": "NotAvailableForSubscription"}
        capabilities = {"vCPUs": str(self.world.sizes[size]), "LowPriorityCapable": "True"}
        return {
            "resourceType": "virtualMachines", "name": size, "family": family_of(size), "locations": [region],
            "capabilities": [{"name": name, "value": value} for name, value in capabilities.items()],
            "restrictions": [restriction] if closed else [],
        }  # fmt: skip


def _check_conditions(stored: Stored | None, conditions: Mapping[str, str]) -> None:
    wanted = conditions.get("if-match")
    if wanted is not None and (stored is None or (wanted != "*" and wanted != stored.etag)):
        raise Refusal(412, "PreconditionFailed", "The condition of the If-Match header was not met.")
    if conditions.get("if-none-match") == "*" and stored is not None:
        raise Refusal(412, "PreconditionFailed", "The resource exists already.")
