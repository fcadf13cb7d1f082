"""What a virtual machine is to us, and what one can ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict


class VMState(StrEnum):
    """What a machine is doing.

    ``stopped`` is still billed: Azure keeps the hardware for it. Only ``deallocated`` costs nothing but
    its disks.
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    DEALLOCATED = "deallocated"
    UPDATING = "updating"
    DELETING = "deleting"
    FAILED = "failed"

    @property
    def billed(self) -> bool:
        """Whether Azure charges for the machine itself in this state (a failed one may be)."""
        return self is not VMState.DEALLOCATED


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A machine as Azure shows it. ``raw`` is Azure's own answer, with its names."""

    id: str
    name: str
    rg_name: str
    location: str
    vm_size: str
    state: VMState
    power_state: str
    provisioning_state: str
    tags: Mapping[str, str]
    etag: str
    zone: str | None
    spot: bool
    nic_ids: tuple[str, ...]
    disk_ids: tuple[str, ...]
    principal_id: str | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spot:
    """Spare capacity, cheaper, taken back at any time.

    ``max_price``: US dollars per hour; -1 means up to the normal price. ``eviction``: ``Deallocate``
    (the disks stay, and cost) or ``Delete``.
    """

    eviction: str = "Deallocate"
    max_price: float = -1.0


@dataclass(frozen=True, slots=True)
class NewDisk:
    """An empty data disk that is created with the machine, and goes with it unless ``keep``."""

    size_gb: int
    storage: str = "StandardSSD_LRS"
    keep: bool = False


class VMOptions(TypedDict, total=False):
    """What `create_vm` takes beside names, place and size; everything has a default.

    ``image``: ``publisher:offer:sku:version`` or the id of an image. ``ssh_public_key``: the only way in;
    without one a key is made whose private half nobody keeps (`run_command` works all the same). There are
    no passwords. ``subnet_id`` or ``nic_id``: where it is connected; without, a network named ``<resource
    group>-<region>-vnet`` is used, and made if need be. ``identity``: ``system``, or ids of user-assigned
    identities. ``cloud_init``: the text of a cloud-init file.
    """

    image: str
    ssh_public_key: str
    admin_username: str
    subnet_id: str
    nic_id: str
    public_ip: bool
    identity: str | Sequence[str]
    data_disks: Sequence[NewDisk]
    cloud_init: str
    spot: Spot
    zone: str
    tags: Mapping[str, str]
    os_disk_gb: int
    os_disk_type: str


def state_of(provisioning: str, power: str) -> VMState:
    """The one word for a machine's two states. A failed operation on a machine that runs leaves it
    running.
    """
    early = {"creating": VMState.PENDING, "deleting": VMState.DELETING}.get(provisioning.lower())
    if early is not None:
        return early
    failed = provisioning.lower() in ("failed", "canceled")
    if provisioning.lower() in ("updating", "migrating"):
        return VMState.UPDATING
    if power in ("starting", "stopping", "deallocating") and not failed:
        return VMState.UPDATING
    known = {"running": VMState.RUNNING, "stopped": VMState.STOPPED, "deallocated": VMState.DEALLOCATED}
    if power in known:
        return known[power]
    return VMState.FAILED if failed else VMState.PENDING


def from_wire(raw: Mapping[str, Any]) -> VirtualMachine:
    """A machine from Azure's answer, which should hold the instance view."""
    properties: Mapping[str, Any] = raw.get("properties") or {}
    provisioning = str(properties.get("provisioningState") or "")
    power = power_state(raw)
    storage = properties.get("storageProfile") or {}
    disks = [part for part in [storage.get("osDisk"), *(storage.get("dataDisks") or [])] if part]
    network = (properties.get("networkProfile") or {}).get("networkInterfaces") or []
    parts = str(raw["id"]).split("/")
    return VirtualMachine(
        id=raw["id"],
        name=raw["name"],
        rg_name=parts[4] if len(parts) > 4 else "",
        location=raw.get("location", ""),
        vm_size=(properties.get("hardwareProfile") or {}).get("vmSize", ""),
        state=state_of(provisioning, power),
        power_state=power,
        provisioning_state=provisioning,
        tags=dict(raw.get("tags") or {}),
        etag=raw.get("etag") or "",
        zone=next(iter(raw.get("zones") or []), None),
        spot=properties.get("priority") == "Spot",
        nic_ids=tuple(one["id"] for one in network),
        disk_ids=tuple(managed["id"] for one in disks if "id" in (managed := one.get("managedDisk") or {})),
        principal_id=(raw.get("identity") or {}).get("principalId"),
        raw=raw,
    )


def plain(answer: Any) -> dict[str, Any]:
    """An answer of the SDK as Azure sent it. What is no model of the SDK's is read by its attributes."""
    found = answer.as_dict() if hasattr(answer, "as_dict") else answer
    if isinstance(found, dict):
        return found
    statuses = getattr(getattr(answer, "instance_view", None), "statuses", None) or []
    properties = {
        "provisioningState": _text(answer, "provisioning_state"),
        "priority": _text(answer, "priority"),
        "hardwareProfile": {"vmSize": _text(getattr(answer, "hardware_profile", None), "vm_size")},
        "instanceView": {"statuses": [{"code": _text(one, "code")} for one in statuses]},
    }
    tags = getattr(answer, "tags", None)
    return {
        **{name: _text(answer, name) for name in ("id", "name", "location", "etag")},
        "tags": tags if isinstance(tags, dict) else {},
        "properties": properties,
    }


def _text(holder: Any, name: str) -> str:
    found = getattr(holder, name, None)
    return found if isinstance(found, str) else ""


def power_state(raw: Mapping[str, Any]) -> str:
    """``running``, ``stopped``, ``deallocated``, or what is between them; empty if the answer does not
    say.
    """
    view = (raw.get("properties") or {}).get("instanceView") or {}
    codes = [str(status.get("code", "")) for status in view.get("statuses") or []]
    return next((code.split("/", 1)[1] for code in codes if code.startswith("PowerState/")), "")
