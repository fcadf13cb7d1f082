"""A fleet that is one flexible scale set."""

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.fabric.adapter import Intent, Offer, PlanRefusedError
from elspeth.providers.azure_vm.adapter import AzureVMAdapter
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import CapacityError
from elspeth.providers.azure_vm.scale_sets import ScaleSets
from elspeth.testing.arm import ArmServer

RG, PLACE, SIZE = "rg", "westeurope", "Standard_B1s"
HERE, THERE = Offer(PLACE, SIZE), Offer("northeurope", SIZE)


def intent(count: int) -> Intent:
    return Intent("web", count, (HERE, THERE), {SIZE: 0.01}, spot=True, scale_set=True)


@pytest.fixture
def adapter(client: AzureVMClient) -> AzureVMAdapter:
    return AzureVMAdapter(client, RG, "web", {"machine": {"public_ip": True, "cloud_init": "#!/bin/sh\n"}})


def test_a_scale_set_is_made_scaled_healed_and_destroyed(
    client: AzureVMClient, adapter: AzureVMAdapter, server: ArmServer
) -> None:
    client.create_vm(RG, "foreign", PLACE, SIZE)
    before = sorted(server.world.resources)
    done = adapter.apply(adapter.plan(intent(3)))
    (unit,) = done.units
    assert (unit.name, unit.members, unit.status, unit.offer) == ("web-set", 3, "running", HERE)
    assert done.strays == ()
    assert adapter.health()["running"] == 3
    assert adapter.plan(intent(3)).empty
    machine = next(one for one in client.list_vms(RG) if one.name.startswith("web-set_"))
    assert machine.spot
    server.world.evict(machine.id)
    healing = adapter.plan(intent(3))
    assert [(one.name, one.status) for one in healing.base] == [("web-set", "stopped")]
    assert [unit.status for unit in adapter.apply(healing).units] == ["running"]
    for count in (5, 2):
        assert [unit.members for unit in adapter.apply(adapter.plan(intent(count))).units] == [count]
    assert adapter.destroy() == ["web-set"]
    assert adapter.sweep() == []
    assert sorted(server.world.resources) == before


def test_a_set_that_has_no_room_goes_elsewhere_as_one(adapter: AzureVMAdapter, server: ArmServer) -> None:
    server.world.full.add((PLACE, SIZE))
    assert [unit.offer for unit in adapter.apply(adapter.plan(intent(2))).units] == [THERE]
    adapter.destroy()
    server.world.full.add(("northeurope", SIZE))
    with pytest.raises(CapacityError):
        adapter.apply(adapter.plan(intent(2)))
    assert adapter.observe().units == ()


def test_a_set_of_somebody_elses_is_left_alone(
    client: AzureVMClient, adapter: AzureVMAdapter, server: ArmServer
) -> None:
    plan = adapter.plan(intent(1))
    ScaleSets(client).create(RG, "web-set", (PLACE, SIZE), 1)
    before = sorted(server.world.resources)
    with pytest.raises(PlanRefusedError, match="a web-set that is not of this fleet"):
        adapter.apply(plan)
    with pytest.raises(UsageError, match="already that is not of this fleet"):
        adapter.plan(intent(1))
    assert adapter.destroy() == []
    assert sorted(server.world.resources) == before
