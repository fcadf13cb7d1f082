"""Many machines at once: how long it takes on the clock of real life, and that nothing stays."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from elspeth.fabric.governor.pace import Pace
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import ThrottledError
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


def ask_too_often(share: float, requests: int, speed: float) -> tuple[int, int]:
    """Ten times as many requests as the buckets hold, by two clients that know nothing of each other: how
    many fail, and how often the server had to refuse. ``share`` makes the buckets smaller, and the test
    shorter.
    """
    buckets = {"reads": (250.0 * share, 25.0 * share), "writes": (200.0, 10.0), "deletes": (200.0, 10.0)}
    with ArmServer(speed=speed) as server, ThreadPoolExecutor(40) as pool:
        server.world.buckets.sizes.update(buckets)
        clients = [
            AzureVMClient(
                server.credential, server.subscription_id, pace=Pace(buckets), **server.connection()
            )
            for _ in range(2)
        ]
        clients[0].create_resource_group(RG, PLACE)

        def ask(number: int) -> bool:
            try:
                return clients[number % 2].has_resource_group(RG)
            except ThrottledError:
                return False

        answers = list(pool.map(ask, range(requests)))
        for client in clients:
            client.close()
        return answers.count(False), server.world.buckets.refused


def test_ten_times_more_requests_than_the_buckets_allow_all_succeed() -> None:
    failed, refused = ask_too_often(0.1, 250, 60.0)
    assert failed == 0
    assert refused > 0


@pytest.mark.soak
def test_ten_times_more_requests_than_arms_real_buckets_allow() -> None:
    failed, _ = ask_too_often(1.0, 2500, 20.0)
    assert failed == 0
