"""``fleet plan``, ``apply``, ``status``, ``destroy`` and ``sweep``: machines in Azure, as a file says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from elspeth.api.operations import recorded, somebody
from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.operations import Operation, OperationStart
from elspeth.fabric.adapter import Plan, PlanRefusedError, World
from elspeth.fabric.fleet_file import FleetSettings, load_fleet


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """A fleet as it is. ``cost_per_hour`` is of the machines that are billed, in US dollars."""

    fleet: str
    world: World
    cost_per_hour: float


def plan_fleet(path: str | os.PathLike[str], *, database: str | None = None) -> Plan:
    """What would have to be done for the fleet to be as the file says; changes nothing.

    Raises ConfigurationError, PlanRefusedError for a budget that is too small, and the provider's errors.
    """
    settings = load_fleet(path)
    with _adapter(settings, "plan", database) as (adapter, record):
        plan = _planned(adapter, settings)
        record.note("planned", plan_dict(plan))
        return plan


def apply_fleet(path: str | os.PathLike[str], digest: str, *, database: str | None = None) -> FleetStatus:
    """Do what the plan with this digest says: the one that somebody has looked at, and no other.

    Raises PlanRefusedError if the file or the world asks for another plan by now, and the provider's errors.
    """
    settings = load_fleet(path)
    with _adapter(settings, "apply", database) as (adapter, record):
        plan = _planned(adapter, settings)
        record.note("planned", plan_dict(plan))
        if plan.digest != digest:
            raise PlanRefusedError(
                f"the plan is {plan.digest[:16]}… now, not {digest[:16]}…: the file or the world has changed",
                fix="look at the new plan: elspeth fleet plan",
            )
        # Who gives a plan's digest has looked at that plan.
        record.note("approved", {"digest": digest, "by": somebody()})
        if not plan.empty:
            adapter.prepare(settings.location)
        status = _status(settings, adapter.apply(plan))
        record.note("result", {"plan": digest, **status_dict(status)})
        return status


def fleet_status(path: str | os.PathLike[str], *, database: str | None = None) -> FleetStatus:
    """The fleet as it is."""
    settings = load_fleet(path)
    with _adapter(settings, "status", database) as (adapter, record):
        status = _status(settings, adapter.observe())
        record.note("observed", status_dict(status))
        return status


def destroy_fleet(path: str | os.PathLike[str], *, database: str | None = None) -> list[str]:
    """Delete every machine of the fleet and what else bears its tag; the machines' names."""
    settings = load_fleet(path)
    with _adapter(settings, "destroy", database) as (adapter, record):
        names = [unit.name for unit in adapter.observe().units]
        record.note("approved", {"deletes": names, "by": somebody()})
        adapter.destroy()
        record.note("result", {"deleted": names})
        return names


def sweep_fleet(path: str | os.PathLike[str], *, database: str | None = None) -> list[str]:
    """Delete what bears the fleet's tag and belongs to no machine; the ids."""
    settings = load_fleet(path)
    with _adapter(settings, "sweep", database) as (adapter, record):
        swept: list[str] = adapter.sweep()
        record.note("result", {"deleted": swept})
        return swept


def plan_dict(plan: Plan) -> dict[str, Any]:
    """A plan as plain JSON values."""
    return {**plan.content(), "digest": plan.digest, "empty": plan.empty}


def status_dict(status: FleetStatus) -> dict[str, Any]:
    """A status as plain JSON values."""
    machines = [
        {
            "name": unit.name,
            "size": unit.size,
            "location": unit.location,
            "spot": unit.spot,
            "status": unit.status,
        }
        for unit in status.world.units
    ]
    strays = list(status.world.strays)
    return {
        "fleet": status.fleet,
        "cost_per_hour": status.cost_per_hour,
        "machines": machines,
        "strays": strays,
    }


def make_client(settings: FleetSettings) -> Any:
    """The client for a fleet, with whatever credential azure-identity finds."""
    try:
        from elspeth.providers.azure_vm.client import AzureVMClient  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError("fleets need the Azure libraries", fix='pip install "elspeth[azure]"') from error
    return AzureVMClient(subscription_id=settings.subscription_id)


@contextmanager
def _adapter(settings: FleetSettings, verb: str, database: str | None) -> Iterator[tuple[Any, Operation]]:
    """The adapter, and the operation with which every call that it makes is on record."""
    with make_client(settings) as client:
        from elspeth.providers.azure_vm.adapter import AzureVMAdapter  # noqa: PLC0415
        from elspeth.providers.azure_vm.machine import VMOptions  # noqa: PLC0415
        from elspeth.providers.azure_vm.record import PROVIDER, record_calls  # noqa: PLC0415

        given = settings.model_dump(
            include={"image", "ssh_public_key", "cloud_init", "subnet_id", "public_ip", "tags"},
            exclude_none=True,
        )
        options = cast(VMOptions, given)
        start = OperationStart(
            f"fleet {verb}",
            f"{settings.resource_group}/{settings.fleet}",
            _recorded_settings(settings),
            PROVIDER,
            excludes=() if verb in ("plan", "status") else ("fleet apply", "fleet destroy", "fleet sweep"),
        )
        with recorded(start, database) as operation:
            record_calls(client.connection, operation)
            adapter = AzureVMAdapter(
                client,
                settings.resource_group,
                settings.fleet,
                parallel=settings.parallel,
                options=options,
                book=operation,
            )
            yield adapter, operation


def _recorded_settings(settings: FleetSettings) -> dict[str, Any]:
    """The fleet file, without what may hold secrets."""
    told = settings.model_dump(mode="json", exclude_none=True)
    if settings.cloud_init is not None:
        told["cloud_init"] = {"sha256": sha256(settings.cloud_init.encode()).hexdigest()}
    return told


def _planned(adapter: Any, settings: FleetSettings) -> Plan:
    plan: Plan = adapter.plan(settings.intent())
    return plan


def _status(settings: FleetSettings, world: World) -> FleetStatus:
    cost = sum(settings.prices.get(unit.size, 0.0) for unit in world.units if unit.status != "stopped")
    return FleetStatus(settings.fleet, world, round(cost, 6))
