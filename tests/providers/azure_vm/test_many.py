"""Many machines at once: how long it takes on the clock of real life, and that nothing stays."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.machine import VMState
from elspeth.testing.arm import ArmServer

RG, PLACE, SIZE = "rg", "westeurope", "Standard_B1s"


def create_and_destroy(count: int, speed: float) -> float:
    """Simulated seconds that it takes, 25 machines at a time."""
    with ArmServer(speed=speed, page_size=30) as server:
        made = AzureVMClient(server.credential, server.subscription_id, **server.connection())
        with made as client, ThreadPoolExecutor(25) as pool:
            client.create_resource_group(RG, PLACE)
            started = server.clock.now()
            client.create_vm(RG, "vm-0", PLACE, SIZE)
            names = [f"vm-{number}" for number in range(count)]
            list(pool.map(lambda name: client.create_vm(RG, name, PLACE, SIZE), names[1:]))
            assert {machine.state for machine in client.list_vms(RG)} == {VMState.RUNNING}
            assert len(client.list_vms(RG)) == count
            list(pool.map(lambda name: client.delete_vm(RG, name), names))
            took = server.clock.now() - started
        left = {item.kind.rsplit("/", 1)[1] for item in server.world.resources.values()}
        assert left == {"resourceGroups", "virtualNetworks", "subnets"}
    return took


def test_six_machines_are_created_and_destroyed() -> None:
    assert create_and_destroy(6, 100.0) < 30 * 60


@pytest.mark.soak
def test_a_hundred_machines_are_created_and_destroyed_in_less_than_half_an_hour() -> None:
    assert create_and_destroy(100, 15.0) < 30 * 60
