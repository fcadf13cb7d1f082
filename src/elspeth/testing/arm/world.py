"""What the server holds: resources, operations on their way, and what can go wrong."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from elspeth.testing.arm.buckets import Buckets
from elspeth.testing.arm.clock import SpedUpClock
from elspeth.testing.arm.faults import Fault

LATENCIES = {
    "create": (35.0, 60.0), "delete": (30.0, 50.0), "start": (15.0, 30.0), "poweroff": (15.0, 30.0),
    "restart": (20.0, 40.0), "deallocate": (30.0, 60.0), "redeploy": (60.0, 120.0), "update": (10.0, 30.0),
    "runcommand": (15.0, 35.0), "assesspatches": (30.0, 60.0), "installpatches": (120.0, 300.0),
    "attachdetachdatadisks": (10.0, 20.0), "reapply": (20.0, 40.0), "capture": (60.0, 120.0),
    "network": (1.0, 4.0), "disk": (2.0, 5.0), "group": (20.0, 60.0),
}  # fmt: skip
"""Seconds that operations take, from and to: what people see in Azure on a common day."""

SIZES = {
    "Standard_B1s": 1, "Standard_B2s": 2, "Standard_D2s_v3": 2, "Standard_D4s_v3": 4, "Standard_D8s_v3": 8,
    "Standard_D2s_v5": 2, "Standard_D4s_v5": 4, "Standard_E4s_v5": 4, "Standard_F4s_v2": 4,
}  # fmt: skip
"""The sizes that are for sale, and their cores."""

NIC_RESERVATION_SECONDS = 180.0
DEFAULT_QUOTA = 100


@dataclass(slots=True)
class Stored:
    """One resource. ``body`` is what a GET answers with, without ``etag`` and the view of a running
    machine.
    """

    id: str
    kind: str
    body: dict[str, Any]
    created: float
    version: int = 1
    power: str = ""
    generalized: bool = False
    reserved_for: str = ""
    reserved_until: float = 0.0

    @property
    def properties(self) -> dict[str, Any]:
        """The body's properties."""
        found: dict[str, Any] = self.body.setdefault("properties", {})
        return found

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return f'"{self.version}"'


@dataclass(slots=True)
class Operation:
    """A long-running operation. ``finish`` is called when its time has come, and gives the result."""

    id: str
    target: str
    started: float
    due: float
    finish: Callable[[], Any]
    status: str = "InProgress"
    error: tuple[str, str] | None = None
    result: Any = None


@dataclass(slots=True)
class Asked:
    """One request as the server saw it."""

    at: float
    method: str
    path: str
    status: int


@dataclass(slots=True)
class World:
    """All that is in the subscription. Take ``lock`` to look or change while the server runs.

    ``quota`` maps region → cores that may be used (`DEFAULT_QUOTA` where it says nothing), ``family_quota``
    (region, family) → cores, ``spot_quota`` region → cores of spot machines, which count there and nowhere
    else; ``restricted`` holds (region, size) pairs that are not for sale, ``full`` those without capacity:
    creation is accepted, and fails. ``denied`` holds actions (``Microsoft.Compute/virtualMachines/write``)
    that the caller has no role for.
    """

    clock: SpedUpClock
    seed: int = 0
    subscription: str = "11111111-2222-3333-4444-555555555555"
    page_size: int = 50
    latencies: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(LATENCIES))
    sizes: dict[str, int] = field(default_factory=lambda: dict(SIZES))
    regions: tuple[str, ...] = ("westeurope", "northeurope", "eastus", "westus2")
    quota: dict[str, int] = field(default_factory=dict)
    family_quota: dict[tuple[str, str], int] = field(default_factory=dict)
    spot_quota: dict[str, int] = field(default_factory=dict)
    restricted: set[tuple[str, str]] = field(default_factory=set)
    full: set[tuple[str, str]] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    resources: dict[str, Stored] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    buckets: Buckets = field(default_factory=Buckets)
    asked: list[Asked] = field(default_factory=list)
    remove: Callable[[Stored], None] = field(default=lambda machine: None, repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _random: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def new_id(self) -> str:
        """A fresh UUID, the same ones for the same seed."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def find(self, resource_id: str) -> Stored | None:
        """A resource by its id, in any case."""
        return self.resources.get(resource_id.lower())

    def of_kind(self, kind: str, below: str = "") -> list[Stored]:
        """Resources of a kind, oldest first, whose id begins with ``below``."""
        prefix = below.lower()
        found = [
            item
            for key, item in self.resources.items()
            if item.kind.lower() == kind.lower() and key.startswith(prefix)
        ]
        return sorted(found, key=lambda item: (item.created, item.id))

    def put(self, item: Stored) -> Stored:
        """Store a new resource."""
        self.resources[item.id.lower()] = item
        return item

    def drop(self, resource_id: str) -> None:
        """Remove a resource and everything below it."""
        key = resource_id.lower()
        for found in [one for one in self.resources if one == key or one.startswith(key + "/")]:
            del self.resources[found]

    def begin(self, target: str, latency: str, finish: Callable[[], Any]) -> Operation:
        """Start an operation that ends by itself after the latency of its sort."""
        now = self.clock.now()
        low, high = self.latencies[latency]
        operation = Operation(
            self.new_id(), target.lower(), now, now + self._random.uniform(low, high), finish
        )
        fault = next((one for one in self.faults if one.asynchronous and one.matches("*", target)), None)
        if fault is not None:
            fault.times -= 1
            operation.error = (fault.code, fault.message)
        self.operations[operation.id] = operation
        return operation

    def busy(self, target: str) -> list[Operation]:
        """The operations on a resource that have not ended."""
        return [
            one
            for one in self.operations.values()
            if one.target == target.lower() and one.status == "InProgress"
        ]

    def preempt(self, target: str) -> None:
        """End what is under way on a resource: it is being deleted."""
        for operation in self.busy(target):
            operation.status = "Failed"
            operation.error = ("OperationPreempted", "The operation was preempted by a more recent one.")

    def advance(self) -> None:
        """End the operations whose time has come, in the order of their times."""
        now = self.clock.now()
        ready = [one for one in self.operations.values() if one.status == "InProgress" and one.due <= now]
        for operation in sorted(ready, key=lambda one: one.due):
            if operation.status == "InProgress":
                self._end(operation)

    def _end(self, operation: Operation) -> None:
        if operation.error is not None:
            operation.status = "Failed"
            stored = self.resources.get(operation.target)
            if stored is not None:
                made = stored.properties["provisioningState"] != "Creating"
                stored.properties["provisioningState"] = "Failed"
                back = {
                    "starting": "stopped" if made else "",
                    "stopping": "running",
                    "deallocating": "running",
                }
                stored.power = back.get(stored.power, stored.power)
            return
        outcome = operation.finish()
        if isinstance(outcome, tuple):
            operation.status, operation.error = "Failed", outcome
        else:
            operation.status, operation.result = "Succeeded", outcome

    def usage(self, region: str) -> dict[str, tuple[int, int]]:
        """Cores in use and allowed there, by Azure's names: ``cores``, ``lowPriorityCores`` (spot), and each
        family. Machines that are deallocated count too.
        """
        used: dict[str, int] = dict.fromkeys(map(family_of, self.sizes), 0)
        used |= {"cores": 0, "lowPriorityCores": 0}
        for item in self.of_kind("Microsoft.Compute/virtualMachines"):
            if item.body.get("location") == region:
                size = item.properties.get("hardwareProfile", {}).get("vmSize", "")
                for name in quotas_of(size, item.properties):
                    used[name] += self.sizes.get(size, 0)
        limits = {
            name: self.family_quota.get((region, name), self.quota.get(region, DEFAULT_QUOTA))
            for name in used
        }
        limits["cores"] = self.quota.get(region, DEFAULT_QUOTA)
        limits["lowPriorityCores"] = self.spot_quota.get(region, DEFAULT_QUOTA)
        return {name: (used[name], limits[name]) for name in sorted(used)}

    def evict(self, vm_id: str) -> None:
        """Azure wants a spot machine's capacity back: it is deallocated, or deleted, as its policy says."""
        with self.lock:
            machine = self.resources[vm_id.lower()]
            if machine.properties.get("priority") != "Spot":
                raise ValueError(f"{vm_id} is no spot machine")
            if machine.properties.get("evictionPolicy") == "Delete":
                self.remove(machine)
            else:
                machine.power = "deallocated"
                machine.version += 1

    def count(self, method: str, path_part: str) -> int:
        """How many requests there were with this method, and this text in their path."""
        return sum(1 for one in self.asked if one.method == method and path_part.lower() in one.path.lower())


def family_of(size: str) -> str:
    """The family that a size's cores are counted in: ``Standard_D2s_v3`` → ``standardDSv3Family``."""
    found = re.fullmatch(r"Standard_([A-Z]+)\d+([a-z]*)(?:_(v\d+))?", size)
    if found is None:
        return "otherFamily"
    return f"standard{found[1]}{found[2].upper()}{found[3] or ''}Family"


def quotas_of(size: str, properties: dict[str, Any]) -> tuple[str, ...]:
    """The quotas that a machine's cores are taken from."""
    return ("lowPriorityCores",) if properties.get("priority") == "Spot" else ("cores", family_of(size))
