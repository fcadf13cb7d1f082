"""What we ask Azure for, in Azure's words."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from elspeth.providers.azure_vm.errors import InvalidRequestError
from elspeth.providers.azure_vm.machine import NewDisk, VMOptions

UBUNTU = "Canonical:ubuntu-24_04-lts:server:latest"


def machine_body(
    vm_name: str, location: str, vm_size: str, nic_id: str, options: VMOptions
) -> dict[str, Any]:
    """The body of the PUT that creates a machine. Disks and the network interface go with the machine."""
    properties: dict[str, Any] = {
        "hardwareProfile": {"vmSize": vm_size},
        "storageProfile": _storage(options),
        "osProfile": _login(vm_name, options),
        "networkProfile": {
            "networkInterfaces": [{"id": nic_id, "properties": {"primary": True, "deleteOption": "Delete"}}]
        },
    }
    properties |= _priority(options)
    body: dict[str, Any] = {
        "location": location, "tags": dict(options.get("tags", {})), "properties": properties
    }  # fmt: skip
    if "zone" in options:
        body["zones"] = [options["zone"]]
    if "identity" in options:
        body["identity"] = _identity(options["identity"])
    return body


def scale_set_body(
    name: str, offer: tuple[str, str], capacity: int, subnet_id: str, options: VMOptions
) -> dict[str, Any]:
    """The body of the PUT that creates a flexible scale set. ``offer``: location and size."""
    location, size = offer
    login = _login(name, options)
    login["computerNamePrefix"] = login.pop("computerName")[:9]
    storage = _storage(options)
    address: dict[str, Any] = {"subnet": {"id": subnet_id}, "primary": True}
    if options.get("public_ip"):
        address["publicIPAddressConfiguration"] = {"name": "public", "properties": {"deleteOption": "Delete"}}
    interface = {
        "primary": True, "deleteOption": "Delete",
        "ipConfigurations": [{"name": "primary", "properties": address}],
    }  # fmt: skip
    profile: dict[str, Any] = {
        "osProfile": login,
        "storageProfile": storage,
        "networkProfile": {
            "networkApiVersion": "2020-11-01",
            "networkInterfaceConfigurations": [{"name": f"{name}-nic", "properties": interface}],
        },
        **_priority(options),
    }
    body: dict[str, Any] = {
        "location": location,
        "tags": dict(options.get("tags", {})),
        "sku": {"name": size, "tier": "Standard", "capacity": capacity},
        "properties": {
            "orchestrationMode": "Flexible",
            "platformFaultDomainCount": 1,
            "virtualMachineProfile": profile,
        },
    }
    if "identity" in options:
        body["identity"] = _identity(options["identity"])
    return body


def nic_body(location: str, subnet_id: str, public_ip_id: str | None, tags: dict[str, str]) -> dict[str, Any]:
    """The body of the PUT that creates a network interface."""
    configuration: dict[str, Any] = {"subnet": {"id": subnet_id}, "privateIPAllocationMethod": "Dynamic"}
    if public_ip_id is not None:
        configuration["publicIPAddress"] = {"id": public_ip_id, "properties": {"deleteOption": "Delete"}}
    return {
        "location": location,
        "tags": tags,
        "properties": {"ipConfigurations": [{"name": "primary", "properties": configuration}]},
    }


def network_body(location: str) -> dict[str, Any]:
    """The body of the PUT that creates the network that machines use which name none."""
    return {
        "location": location,
        "tags": {},
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.42.0.0/16"]},
            "subnets": [{"name": "default", "properties": {"addressPrefix": "10.42.0.0/20"}}],
        },
    }


def throwaway_key() -> str:
    """A public SSH key whose private half is gone when this returns: Azure demands a key, nobody needs it."""
    public = generate_private_key(public_exponent=65537, key_size=3072).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " nobody"


def _priority(options: VMOptions) -> dict[str, Any]:
    spot = options.get("spot")
    if spot is None:
        return {}
    return {
        "priority": "Spot",
        "evictionPolicy": spot.eviction,
        "billingProfile": {"maxPrice": spot.max_price},
    }


def _storage(options: VMOptions) -> dict[str, Any]:
    os_disk: dict[str, Any] = {
        "createOption": "FromImage", "osType": "Linux", "deleteOption": "Delete",
        "managedDisk": {"storageAccountType": options.get("os_disk_type", "StandardSSD_LRS")},
    }  # fmt: skip
    if "os_disk_gb" in options:
        os_disk["diskSizeGB"] = options["os_disk_gb"]
    disks = [_disk(lun, disk) for lun, disk in enumerate(options.get("data_disks", ()))]
    return {
        "imageReference": image_reference(options.get("image", UBUNTU)),
        "osDisk": os_disk,
        "dataDisks": disks,
    }


def _disk(lun: int, disk: NewDisk) -> dict[str, Any]:
    return {
        "lun": lun, "createOption": "Empty", "diskSizeGB": disk.size_gb,
        "deleteOption": "Detach" if disk.keep else "Delete",
        "managedDisk": {"storageAccountType": disk.storage},
    }  # fmt: skip


def image_reference(image: str) -> dict[str, str]:
    """An image in Azure's words. Raises InvalidRequestError for text that is neither an id nor four words."""
    if image.startswith("/"):
        return {"id": image}
    words = image.split(":")
    if len(words) != 4 or not all(words):
        raise InvalidRequestError(
            f"{image!r} is no image",
            fix=f"write publisher:offer:sku:version, such as {UBUNTU}, or an image's id",
        )
    return dict(zip(("publisher", "offer", "sku", "version"), words, strict=True))


def _login(vm_name: str, options: VMOptions) -> dict[str, Any]:
    user = options.get("admin_username", "azureuser")
    key = options["ssh_public_key"]
    profile: dict[str, Any] = {
        "computerName": vm_name,
        "adminUsername": user,
        "linuxConfiguration": {
            "disablePasswordAuthentication": True,
            "ssh": {"publicKeys": [{"path": f"/home/{user}/.ssh/authorized_keys", "keyData": key}]},
        },
    }
    if "cloud_init" in options:
        profile["customData"] = base64.b64encode(options["cloud_init"].encode()).decode()
    return profile


def _identity(identity: str | Any) -> dict[str, Any]:
    if identity == "system":
        return {"type": "SystemAssigned"}
    ids = [identity] if isinstance(identity, str) else list(identity)
    return {"type": "UserAssigned", "userAssignedIdentities": {one: {} for one in ids}}
