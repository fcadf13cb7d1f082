"""What every fleet command needs: the file, the provider, and the books in which plans and money are kept."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from elspeth.api.operations import recorded
from elspeth.api.providers import believed
from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.core.landscape.operations import Operation, OperationStart
from elspeth.fabric.adapter import Plan, World
from elspeth.fabric.fleet_file import FleetFile, FleetSettings, read_fleet

PROVIDER = "azure_vm"
DEFAULT_FILE = Path(".elspeth/fabric.db")


@dataclass(frozen=True, slots=True)
class Books:
    """The fabric's database: ``approvals``, ``spending`` of one fleet, ``turns``, and the coordinator."""

    approvals: Any
    spending: Any
    turns: Any
    coordinator: Any


@dataclass(frozen=True, slots=True)
class Kept:
    """Where it is kept what a command did: URLs of the landscape and of the fabric's database (None: the
    default ones).
    """

    landscape: str | None = None
    fabric: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """A fleet file opened: its provider and its books, and the operation that puts it on record."""

    file: FleetFile
    adapter: Any
    books: Books
    record: Operation

    @property
    def settings(self) -> FleetSettings:
        """What the file says."""
        return self.file.settings

    def observe(self) -> World:
        """The fleet as it is, put down in the books."""
        world: World = self.adapter.observe()
        self.settle(world)
        return world

    def settle(self, world: World) -> None:
        """Put down what is there, and what it costs."""
        under_way = self.books.turns.under_way(self.settings.fleet)
        self.books.spending.settle(world, self.settings.prices, under_way=under_way)

    def check_policies(self, plan: Plan) -> None:
        """Raises ConfigurationError with every policy that the plan breaks, at its place in the file."""
        from elspeth.fabric.governor.policy import violations  # noqa: PLC0415

        rules = [(one.rule, one.message) for one in self.settings.policies]
        found = violations(plan, self.settings.model_dump(), rules)
        if found:
            raise self.file.refused([(("policies", one.number, "rule"), one.what, one.fix) for one in found])


@contextmanager
def open_desk(path: str | os.PathLike[str], verb: str, kept: Kept | None = None) -> Iterator[Desk]:
    """Open a fleet file for a command, which is an operation on record from here to the end of the block.

    Raises ConfigurationError, ManifestError for a provider that must show a manifest and can't, UsageError
    without the Azure libraries, and as `recorded`.
    """
    file, where = read_fleet(path), kept or Kept()
    settings = file.settings
    # Before anything of the provider is loaded.
    manifest, signed_by = believed(settings.manifest, PROVIDER)
    with make_client(settings) as client, open_fleet_books(where.fabric, settings.fleet) as books:
        from elspeth.providers.azure_vm.record import record_calls  # noqa: PLC0415

        start = OperationStart(
            f"fleet {verb}",
            f"{settings.resource_group}/{settings.fleet}",
            _recorded_settings(settings),
            PROVIDER,
        )
        with recorded(start, where.landscape) as operation:
            record_calls(client.connection, operation)
            told = {"provider": PROVIDER, "version": manifest.version, "signed_by": list(signed_by)}
            operation.note("manifest", told)
            yield Desk(file, _adapter(client, settings, operation), books, operation)


@contextmanager
def open_fleet_books(url: str | None, fleet: str = "") -> Iterator[Books]:
    """Open the fabric's database; it is made if it is not there, and ``fleet`` says whose it is.

    Raises NotFoundError if nobody says of which fleet, and there is none here.
    """
    from elspeth.fabric.applying import LEASE_SECONDS, Turns  # noqa: PLC0415
    from elspeth.fabric.coordinator import Coordinator  # noqa: PLC0415
    from elspeth.fabric.governor.approvals import Approvals  # noqa: PLC0415
    from elspeth.fabric.governor.books import open_books  # noqa: PLC0415
    from elspeth.fabric.governor.spending import Spending  # noqa: PLC0415

    if url is None and not fleet and not DEFAULT_FILE.exists():
        raise NotFoundError(
            f"there are no plans here: {DEFAULT_FILE} is not there",
            fix="go to the folder in which the plan was made, or say where it is kept: --fabric URL",
        )
    if url is None:
        DEFAULT_FILE.parent.mkdir(exist_ok=True)
    opened = open_books(url or f"sqlite:///{DEFAULT_FILE}")
    try:
        coordinator = Coordinator(opened, lease_seconds=LEASE_SECONDS)
        yield Books(Approvals(opened), Spending(opened, fleet), Turns(opened), coordinator)
    finally:
        opened.close()


def make_client(settings: FleetSettings) -> Any:
    """The client for a fleet, with whatever credential azure-identity finds."""
    try:
        from elspeth.providers.azure_vm.client import AzureVMClient  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError("fleets need the Azure libraries", fix='pip install "elspeth[azure]"') from error
    return AzureVMClient(subscription_id=settings.subscription_id)


def _adapter(client: Any, settings: FleetSettings, operation: Operation) -> Any:
    from elspeth.providers.azure_vm.adapter import AdapterOptions, AzureVMAdapter  # noqa: PLC0415
    from elspeth.providers.azure_vm.machine import Spot, VMOptions  # noqa: PLC0415

    names = {"image", "ssh_public_key", "cloud_init", "os_disk_gb", "identity", "tags"}
    given = settings.model_dump(include=names, exclude_none=True)
    machine = cast(VMOptions, {**given, "public_ip": settings.network.public_ip})
    if settings.spot:
        machine["spot"] = Spot(settings.spot_eviction, settings.spot_max_price)
    options = AdapterOptions(
        machine=machine, subnets=settings.network.subnets, parallel=settings.parallel, book=operation
    )
    return AzureVMAdapter(client, settings.resource_group, settings.fleet, options)


def _recorded_settings(settings: FleetSettings) -> dict[str, Any]:
    """The fleet file, without what may hold secrets."""
    told = settings.model_dump(mode="json", exclude_none=True)
    if settings.cloud_init is not None:
        told["cloud_init"] = {"sha256": sha256(settings.cloud_init.encode()).hexdigest()}
    return told
