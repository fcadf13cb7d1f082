"""A fleet comes to be as planned, whatever dies on the way; what is not ours is never touched."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from elspeth.contracts.errors import ElspethError
from elspeth.fabric.adapter import Intent, NoRoomError, Offer, PlanRefusedError
from elspeth.fabric.governor.breakers import Breakers, ServiceShutError
from elspeth.providers.azure_vm.accounts import ArmCall
from elspeth.providers.azure_vm.adapter import AdapterOptions, AzureVMAdapter
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import (
    AzureNotFoundError,
    CapacityError,
    ConflictError,
    ThrottledError,
    UnreachableError,
)
from elspeth.testing.arm import ArmServer, Fault

RG, PLACE, SIZE = "rg", "westeurope", "Standard_B1s"
PRICES = {SIZE: 0.01, "Standard_B2s": 0.02, "Standard_D2s_v3": 0.1}
HERE, BIGGER, THERE = Offer(PLACE, SIZE), Offer(PLACE, "Standard_B2s"), Offer("northeurope", SIZE)


def intent(count: int, *offers: Offer, **more: Any) -> Intent:
    return Intent("web", count, offers or (HERE,), PRICES, **more)


def of_fleet(server: ArmServer) -> list[str]:
    return sorted(
        item.body["name"]
        for item in server.world.resources.values()
        if (item.body.get("tags") or {}).get("elspeth-fleet")
    )


@pytest.fixture
def adapter(client: AzureVMClient) -> AzureVMAdapter:
    return AzureVMAdapter(client, RG, "web")


def test_a_fleet_from_plan_to_destruction(
    client: AzureVMClient, adapter: AzureVMAdapter, server: ArmServer
) -> None:
    client.create_vm(RG, "foreign", PLACE, SIZE, tags={"owner": "somebody"})
    before = sorted(server.world.resources)
    plan = adapter.plan(intent(2, spot=True))
    adapter.apply(plan)
    assert adapter.health() == {"running": 2, "stopped": 0, "deallocated": 0, "failed": 0, "changing": 0}
    assert adapter.plan(intent(2, spot=True)).empty
    evicted = next(
        item.id for item in server.world.resources.values() if item.id.endswith("virtualMachines/web-001")
    )
    server.world.evict(evicted)
    healing = adapter.plan(intent(2, spot=True))
    assert [unit.name for unit in healing.changes] == ["web-001"]
    adapter.apply(healing)
    adapter.apply(adapter.plan(intent(1, Offer(PLACE, "Standard_D2s_v3"), spot=True)))
    assert [(unit.name, unit.size) for unit in adapter.observe().units] == [("web-000", "Standard_D2s_v3")]
    adapter.destroy()
    assert adapter.sweep() == []
    assert sorted(server.world.resources) == before


def test_a_plan_is_refused_if_somebody_was_quicker(
    client: AzureVMClient, adapter: AzureVMAdapter, server: ArmServer
) -> None:
    adapter.apply(adapter.plan(intent(1)))
    plan = adapter.plan(intent(2))
    client.delete_vm(RG, "web-000")
    asked = server.world.count("PUT", "virtualMachines")
    with pytest.raises(PlanRefusedError, match="web-000 is not there, not running"):
        adapter.apply(plan)
    assert server.world.count("PUT", "virtualMachines") == asked


def test_too_little_quota_is_seen_before_anything_is_made(adapter: AzureVMAdapter, server: ArmServer) -> None:
    plan = adapter.plan(intent(2))
    server.world.quota[PLACE] = 1
    for attempt in (lambda: adapter.apply(plan), lambda: adapter.plan(intent(2))):
        with pytest.raises(NoRoomError, match="1 more of westeurope cores are needed, and 0 of 1 are in use"):
            attempt()
    assert of_fleet(server) == []


def test_quota_and_restrictions_lead_to_the_next_offer(adapter: AzureVMAdapter, server: ArmServer) -> None:
    server.world.restricted.add((PLACE, SIZE))
    server.world.family_quota[PLACE, "standardBSFamily"] = 2
    plan = adapter.plan(intent(2, HERE, BIGGER, THERE))
    assert [unit.offer for unit in plan.creates] == [BIGGER, THERE]
    assert plan.left_out == ((HERE, "not for this subscription (NotAvailableForSubscription)"),)
    assert [unit.offer for unit in adapter.apply(plan).units] == [BIGGER, THERE]
    assert adapter.plan(intent(2, HERE, BIGGER, THERE)).empty
    adapter.destroy()
    assert of_fleet(server) == []


def test_unknown_regions_and_sizes_are_refused(adapter: AzureVMAdapter) -> None:
    with pytest.raises(NoRoomError, match="Standard_B1s in atlantis: Azure has no such region"):
        adapter.plan(intent(1, Offer("atlantis", SIZE)))
    with pytest.raises(
        NoRoomError, match="Standard_B2s_v9 in westeurope: Azure has no such size there; did you mean"
    ):
        adapter.plan(Intent("web", 1, (Offer(PLACE, "Standard_B2s_v9"),), {"Standard_B2s_v9": 1.0}))


def test_what_fails_for_lack_of_capacity_is_made_elsewhere_as_the_plan_said(
    adapter: AzureVMAdapter, server: ArmServer
) -> None:
    server.world.full |= {(PLACE, SIZE), (PLACE, "Standard_B2s")}
    plan = adapter.plan(intent(2, HERE, BIGGER, THERE))
    assert plan.fallbacks == (HERE, BIGGER, THERE)
    done = adapter.apply(plan)
    assert [unit.offer for unit in done.units] == [THERE, THERE]
    assert done.strays == ()
    assert adapter.plan(intent(2, HERE, BIGGER, THERE)).empty
    server.world.full.add(("northeurope", SIZE))
    with pytest.raises(CapacityError, match="another size, zone or region"):
        adapter.apply(adapter.plan(intent(3, HERE, THERE)))
    assert [unit.offer for unit in adapter.observe().units] == [THERE, THERE]
    adapter.destroy()
    assert of_fleet(server) == []


def test_a_machine_never_goes_where_the_plan_does_not_say(adapter: AzureVMAdapter, server: ArmServer) -> None:
    server.world.full.add((PLACE, SIZE))
    with pytest.raises(CapacityError):
        adapter.apply(adapter.plan(intent(1, HERE, BIGGER, max_cost_per_hour=0.01)))
    assert of_fleet(server) == []


def test_a_region_in_trouble_is_left_alone(client: AzureVMClient, server: ArmServer) -> None:
    adapter = AzureVMAdapter(client, RG, "web", AdapterOptions(parallel=1))
    adapter.apply(adapter.plan(intent(1)))
    adapter.breakers = Breakers(
        server.clock.now, lambda error: isinstance(error, UnreachableError), open_s=1e6
    )
    for _ in range(5):
        with pytest.raises(UnreachableError), adapter.breakers.guarding("azure_vm", PLACE, "create"):
            raise UnreachableError("no answer")
    assert adapter.breakers.open() == [("azure_vm", PLACE, "create")]
    asked = server.world.count("PUT", "virtualMachines")
    with pytest.raises(ServiceShutError, match="azure_vm fails to create in westeurope again and again"):
        adapter.apply(adapter.plan(intent(2)))
    assert server.world.count("PUT", "virtualMachines") == asked
    assert [unit.offer for unit in adapter.apply(adapter.plan(intent(2, HERE, THERE))).units] == [HERE, THERE]


def test_a_throttled_list_is_no_empty_fleet(
    client: AzureVMClient, adapter: AzureVMAdapter, server: ArmServer
) -> None:
    server.world.faults.append(Fault("GET", "*/virtualmachines", 429, "TooManyRequests", times=1000))
    with pytest.raises(ThrottledError):
        adapter.observe()


def test_an_interface_that_is_not_ours_is_left_alone(
    client: AzureVMClient, adapter: AzureVMAdapter, server: ArmServer
) -> None:
    client.create_vm(RG, "other", PLACE, SIZE)
    nic = next(item for item in server.world.resources.values() if item.body["name"] == "other-nic")
    subnet = nic.properties["ipConfigurations"][0]["properties"]["subnet"]
    body = {
        "location": PLACE,
        "properties": {"ipConfigurations": [{"name": "a", "properties": {"subnet": subnet}}]},
    }
    client.connection.network.network_interfaces.begin_create_or_update(
        RG, "web-000-nic", body, polling=client.connection.polling()
    ).result()
    with pytest.raises(ConflictError, match="web-000-nic in rg that was not made for web-000"):
        adapter.apply(adapter.plan(intent(1)))
    assert adapter.sweep() == []
    client.delete_vm(RG, "web-000")
    assert any(item.body["name"] == "web-000-nic" for item in server.world.resources.values())


class Killed(Exception):
    """The process is dead: nothing it asks for leaves it any more."""


def killer(after: int) -> Callable[[ArmCall], None]:
    """Lets so many requests through; the answer to the next is never seen, nor any after it."""
    seen = iter(range(after))

    def on_call(call: ArmCall) -> None:
        if next(seen, None) is None:
            raise Killed(call.path)

    return on_call


def survive(server: ArmServer, rounds: int, seed: int) -> None:
    """Kills and faults at random calls; then a new process plans, applies, destroys and sweeps."""
    chance = random.Random(seed)
    common: dict[str, Any] = {"subscription_id": server.subscription_id, **server.connection()}
    with AzureVMClient(server.credential, **common) as client:
        client.create_resource_group(RG, PLACE)
        client.create_vm(RG, "foreign", PLACE, SIZE)
        before = sorted(server.world.resources)
        for _ in range(rounds):
            for _ in range(2):
                with AzureVMClient(
                    server.credential, on_call=killer(chance.randrange(2, 60)), **common
                ) as dying:
                    server.world.faults = [
                        Fault(
                            chance.choice(["PUT", "DELETE"]),
                            "*/web-00*",
                            drop=True,
                            after=chance.randrange(4),
                        ),
                        Fault(path="*/virtualmachines/web-001", code="AllocationFailed", asynchronous=True),
                    ]
                    adapter = AzureVMAdapter(dying, RG, "web", AdapterOptions(parallel=2))
                    server.world.full = {(PLACE, SIZE)} if chance.random() < 0.3 else set()
                    try:
                        adapter.apply(adapter.plan(intent(chance.randrange(1, 4), HERE, BIGGER, THERE)))
                    except (Killed, ElspethError):
                        continue
            server.world.faults, server.world.full = [], set()
            adapter = AzureVMAdapter(client, RG, "web")
            for unit in adapter.observe().units:
                with suppress(AzureNotFoundError):  # its deletion was under way
                    client.wait_settled(RG, unit.name)
            adapter.apply(adapter.plan(intent(2, HERE, BIGGER, THERE)))
            assert adapter.health()["running"] == 2
            adapter.destroy()
            assert of_fleet(server) == []
            left = [one for one in server.world.resources if "-northeurope-vnet" not in one]
            assert sorted(left) == before


@pytest.fixture
def quick_server() -> Iterator[ArmServer]:
    with ArmServer(speed=300.0) as running:
        yield running


def test_kills_and_faults_leave_nothing_behind(quick_server: ArmServer) -> None:
    survive(quick_server, rounds=1, seed=1)


@pytest.mark.soak
def test_two_hundred_kills_and_faults_leave_nothing_behind(quick_server: ArmServer) -> None:
    survive(quick_server, rounds=100, seed=2)
