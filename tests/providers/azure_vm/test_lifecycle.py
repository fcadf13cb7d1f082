"""A machine's life, from creation to deletion, through the real SDK."""

import base64

import pytest

from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import AzureNotFoundError, ConflictError, InvalidRequestError
from elspeth.providers.azure_vm.machine import NewDisk, Spot, VMState, state_of
from elspeth.testing.arm import ArmServer

RG, PLACE, SIZE = "rg", "westeurope", "Standard_D2s_v3"


def kinds(server: ArmServer) -> list[str]:
    return sorted(item.kind.rsplit("/", 1)[1] for item in server.world.resources.values())


def test_a_machine_is_created_stopped_started_and_deleted_with_all_that_is_its_own(
    client: AzureVMClient, server: ArmServer
) -> None:
    before = kinds(server)
    machine = client.create_vm(RG, "vm-1", PLACE, SIZE)
    assert (machine.name, machine.state, machine.location, machine.vm_size) == (
        "vm-1",
        VMState.RUNNING,
        PLACE,
        SIZE,
    )
    assert client.stop_vm(RG, "vm-1").state is VMState.STOPPED
    assert client.start_vm(RG, "vm-1").state is VMState.RUNNING
    assert client.restart_vm(RG, "vm-1").state is VMState.RUNNING
    assert client.deallocate_vm(RG, "vm-1").state is VMState.DEALLOCATED
    assert client.resize_vm(RG, "vm-1", "Standard_D4s_v3").vm_size == "Standard_D4s_v3"
    client.delete_vm(RG, "vm-1")
    # The network of the group stays: other machines may use it.
    assert kinds(server) == sorted([*before, "virtualNetworks", "subnets"])
    with pytest.raises(AzureNotFoundError, match="look at vm-1 in rg"):
        client.get_vm(RG, "vm-1")


def test_everything_that_can_be_asked_for_reaches_azure(client: AzureVMClient, server: ArmServer) -> None:
    machine = client.create_vm(
        RG, "vm-2", PLACE, SIZE,
        ssh_public_key="ssh-ed25519 AAAA me", admin_username="me", public_ip=True, identity="system",
        data_disks=[NewDisk(64), NewDisk(32, keep=True)], cloud_init="#cloud-config\n", zone="1",
        spot=Spot(eviction="Delete", max_price=0.05), tags={"team": "data"}, os_disk_gb=64,
    )  # fmt: skip
    assert machine.spot
    assert machine.zone == "1"
    assert machine.tags == {"team": "data"}
    assert machine.principal_id
    assert len(machine.disk_ids) == 3
    properties = machine.raw["properties"]
    assert properties["billingProfile"] == {"maxPrice": 0.05}
    assert properties["evictionPolicy"] == "Delete"
    linux = properties["osProfile"]["linuxConfiguration"]
    assert linux["disablePasswordAuthentication"] is True
    assert linux["ssh"]["publicKeys"][0]["keyData"] == "ssh-ed25519 AAAA me"
    assert base64.b64encode(b"#cloud-config\n").decode() not in str(machine.raw)
    client.delete_vm(RG, "vm-2")
    assert [
        kind for kind in kinds(server) if kind in ("disks", "publicIPAddresses", "networkInterfaces")
    ] == ["disks"]


def test_a_list_has_all_pages_and_every_state(client: AzureVMClient, server: ArmServer) -> None:
    server.world.page_size = 3
    for number in range(4):
        client.create_vm(RG, f"vm-{number}", PLACE, "Standard_B1s")
    client.deallocate_vm(RG, "vm-3")
    client.create_resource_group("other", PLACE)
    client.create_vm("other", "elsewhere", PLACE, "Standard_B1s")
    found = client.list_vms(RG)
    assert [machine.name for machine in found] == [f"vm-{number}" for number in range(4)]
    assert [machine.state for machine in found].count(VMState.DEALLOCATED) == 1
    assert {machine.rg_name for machine in client.list_vms()} == {"rg", "other"}


def test_commands_disks_and_patches(client: AzureVMClient) -> None:
    client.create_vm(RG, "vm-1", PLACE, SIZE)
    assert "uname -a" in client.run_command(RG, "vm-1", "uname -a")
    disk = client.create_disk(RG, "data", PLACE, 10)
    assert disk in client.attach_disk(RG, "vm-1", disk).disk_ids
    with pytest.raises(ConflictError, match="attached"):
        client.delete_disk(RG, "data")
    assert disk not in client.detach_disk(RG, "vm-1", disk).disk_ids
    client.delete_disk(RG, "data")
    assert client.assess_patches(RG, "vm-1")["criticalAndSecurityPatchCount"] == 2
    assert client.install_patches(RG, "vm-1")["installedPatchCount"] == 2
    assert client.redeploy_vm(RG, "vm-1").state is VMState.RUNNING


def test_an_image_is_made_of_a_machine(client: AzureVMClient) -> None:
    client.create_vm(RG, "model", PLACE, SIZE)
    with pytest.raises(ConflictError, match="must be stopped"):
        client.generalize_vm(RG, "model")
    client.deallocate_vm(RG, "model")
    client.generalize_vm(RG, "model")
    image = client.capture_image(RG, "model", "golden")
    assert client.create_vm(RG, "copy", PLACE, SIZE, image=image).state is VMState.RUNNING
    with pytest.raises(ConflictError, match="generalized"):
        client.start_vm(RG, "model")


def test_a_change_of_somebody_else_is_not_overwritten(client: AzureVMClient) -> None:
    seen = client.create_vm(RG, "vm-1", PLACE, SIZE)
    assert client.tag_vm(RG, "vm-1", {"a": "1"}, seen.etag).tags == {"a": "1"}
    with pytest.raises(ConflictError, match="read it again"):
        client.tag_vm(RG, "vm-1", {"a": "2"}, seen.etag)
    assert client.get_vm(RG, "vm-1").tags == {"a": "1"}


def test_a_name_that_is_too_long_is_refused_before_anything_is_made(
    client: AzureVMClient, server: ArmServer
) -> None:
    asked = len(server.world.asked)
    with pytest.raises(InvalidRequestError, match="65 characters; Azure allows 1 to 64"):
        client.create_vm(RG, "x" * 65, PLACE, SIZE)
    assert len(server.world.asked) == asked


def test_an_evicted_machine_is_seen_as_such(client: AzureVMClient, server: ArmServer) -> None:
    machine = client.create_vm(RG, "cheap", PLACE, SIZE, spot=Spot())
    server.world.evict(machine.id)
    assert client.get_vm(RG, "cheap").state is VMState.DEALLOCATED
    assert client.start_vm(RG, "cheap").state is VMState.RUNNING


@pytest.mark.parametrize(
    ("provisioning", "power", "state"),
    [
        ("Creating", "starting", VMState.PENDING),
        ("Succeeded", "running", VMState.RUNNING),
        ("Succeeded", "stopped", VMState.STOPPED),
        ("Succeeded", "deallocated", VMState.DEALLOCATED),
        ("Updating", "running", VMState.UPDATING),
        ("Succeeded", "deallocating", VMState.UPDATING),
        ("Deleting", "running", VMState.DELETING),
        ("Failed", "", VMState.FAILED),
        ("Failed", "starting", VMState.FAILED),
        ("Failed", "running", VMState.RUNNING),
    ],
)
def test_two_states_of_azure_make_one_of_ours(provisioning: str, power: str, state: VMState) -> None:
    assert state_of(provisioning, power) is state


def test_stopped_is_billed_deallocated_is_not() -> None:
    assert VMState.STOPPED.billed
    assert not VMState.DEALLOCATED.billed
