"""What Azure refuses is told with its cause and remedy, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from elspeth.contracts.errors import ElspethError, NotFoundError, UsageError
from elspeth.providers.azure_vm.accounts import ArmCall
from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.providers.azure_vm.errors import (
    AzureNotFoundError,
    AzureVMError,
    CapacityError,
    ConflictError,
    InvalidRequestError,
    OperationTimeoutError,
    PermissionMissingError,
    QuotaError,
    UnreachableError,
    translated,
)
from elspeth.providers.azure_vm.machine import VMState
from elspeth.providers.azure_vm.operations import FileOperationStore
from elspeth.testing.arm import ArmServer, Fault

RG, PLACE, SIZE = "rg", "westeurope", "Standard_D2s_v3"


def left(server: ArmServer) -> list[str]:
    """What is there and costs money."""
    kinds = ("virtualMachines", "disks", "networkInterfaces", "publicIPAddresses")
    return [item.kind for item in server.world.resources.values() if item.kind.endswith(kinds)]


def test_no_subscription() -> None:
    with pytest.raises(UsageError, match="az account show"):
        AzureVMClient(credential_factory=lambda: None)  # type: ignore[arg-type,return-value]


def test_no_such_group_or_machine(client: AzureVMClient) -> None:
    with pytest.raises(NotFoundError, match="Resource group 'nowhere' could not be found"):
        client.create_vm("nowhere", "vm", PLACE, SIZE)
    with pytest.raises(NotFoundError, match="somebody else may have deleted it"):
        client.start_vm(RG, "gone")
    client.delete_vm(RG, "gone")
    with pytest.raises(NotFoundError):
        client.list_vms("nowhere")
    assert client.list_vms(RG) == []


def test_a_name_in_use_is_refused_and_the_machine_there_is_left_alone(
    client: AzureVMClient, server: ArmServer
) -> None:
    client.create_vm(RG, "vm", PLACE, SIZE)
    before = left(server)
    with pytest.raises(ConflictError, match="a machine vm in rg already; it is running"):
        client.create_vm(RG, "vm", PLACE, "Standard_B1s")
    assert left(server) == before
    assert client.get_vm(RG, "vm").vm_size == SIZE


def test_a_missing_permission_names_the_role(client: AzureVMClient, server: ArmServer) -> None:
    server.world.denied.add("Microsoft.Compute/virtualMachines/write")
    with pytest.raises(PermissionMissingError, match="Virtual Machine Contributor") as caught:
        client.create_vm(RG, "vm", PLACE, SIZE)
    assert caught.value.status == 403
    assert left(server) == []


def test_states_are_read_one_by_one_where_the_subscription_may_not_be_read(
    client: AzureVMClient, server: ArmServer
) -> None:
    client.create_vm(RG, "vm", PLACE, SIZE)
    everywhere = f"/subscriptions/{server.subscription_id}/providers/microsoft.compute/virtualmachines"
    server.world.faults.append(Fault("GET", everywhere, 403, "AuthorizationFailed"))
    assert [machine.state for machine in client.list_vms(RG)] == [VMState.RUNNING]


@pytest.mark.parametrize(
    ("place", "size", "kind", "said"),
    [
        ("atlantis", SIZE, InvalidRequestError, "atlantis"),
        (PLACE, "Standard_Huge", InvalidRequestError, "Standard_Huge"),
        ("eastus", SIZE, QuotaError, "Current Limit: 0"),
        ("westus2", SIZE, CapacityError, "not available in location"),
    ],
)
def test_what_is_refused_at_once_leaves_nothing(
    client: AzureVMClient, server: ArmServer, place: str, size: str, kind: type[AzureVMError], said: str
) -> None:
    server.world.quota["eastus"] = 0
    server.world.restricted.add(("westus2", SIZE))
    with pytest.raises(kind, match=said):
        client.create_vm(RG, "vm", place, size, public_ip=True)
    assert left(server) == []


def test_a_creation_that_fails_later_is_cleared_away_though_azure_reserves_its_interface(
    client: AzureVMClient, server: ArmServer
) -> None:
    server.world.full.add((PLACE, SIZE))
    with pytest.raises(CapacityError, match=r"another size, zone or region"):
        client.create_vm(RG, "vm", PLACE, SIZE)
    assert client.get_vm(RG, "vm").state is VMState.FAILED
    client.delete_vm(RG, "vm")
    assert left(server) == []
    assert any(one.method == "DELETE" and one.status == 400 for one in server.world.asked)


def test_a_list_that_fails_half_way_is_no_shorter_list(client: AzureVMClient, server: ArmServer) -> None:
    for number in range(3):
        client.create_vm(RG, f"vm-{number}", PLACE, "Standard_B1s")
    server.world.page_size = 2
    server.world.faults.append(Fault("GET", "*/virtualmachines", 400, "BadRequest", after=1))
    with pytest.raises(AzureVMError):
        client.list_vms(RG)
    assert len(client.list_vms(RG)) == 3


@pytest.mark.parametrize("retry_after", ["3", "0", None])
def test_a_throttled_request_is_asked_again(
    client: AzureVMClient, server: ArmServer, retry_after: str | None
) -> None:
    client.create_vm(RG, "vm", PLACE, SIZE)
    server.world.faults.append(
        Fault("POST", "*/poweroff", 429, "TooManyRequests", "Slow down.", retry_after, 3)
    )
    started = server.clock.now()
    assert client.stop_vm(RG, "vm").state is VMState.STOPPED
    assert server.world.count("POST", "/poweroff") == 4
    if retry_after == "3":
        assert server.clock.now() - started >= 9
    if retry_after is None:
        assert server.clock.now() - started >= 1 + 2 + 4


def test_arms_own_buckets_slow_us_down_and_fail_nothing(client: AzureVMClient, server: ArmServer) -> None:
    client.create_vm(RG, "vm", PLACE, SIZE)
    server.world.buckets.sizes["reads"] = (2.0, 0.02)
    for _ in range(8):
        assert client.get_vm(RG, "vm").state is VMState.RUNNING
    assert server.world.buckets.refused > 0


def test_who_was_not_heard_asks_again_and_gets_one_machine(client: AzureVMClient, server: ArmServer) -> None:
    server.world.faults.append(Fault("PUT", "*/virtualmachines/vm", drop=True))
    assert client.create_vm(RG, "vm", PLACE, SIZE).state is VMState.RUNNING
    assert left(server).count("Microsoft.Compute/virtualMachines") == 1


def test_a_post_without_answer_says_that_it_may_have_been_done(
    client: AzureVMClient, server: ArmServer
) -> None:
    client.create_vm(RG, "vm", PLACE, SIZE)
    server.world.faults.append(Fault("POST", "*/poweroff", drop=True))
    with pytest.raises(UnreachableError, match="look whether it was done"):
        client.stop_vm(RG, "vm")


def test_an_operation_outlives_our_process(server: ArmServer, tmp_path: Path) -> None:
    """The first client gives up waiting; a second one, which knows only the folder, waits on."""
    server.world.latencies["create"] = (2000.0, 2000.0)
    options: dict[str, Any] = {
        "credential_factory": server.credential, "subscription_id": server.subscription_id,
        "operations": FileOperationStore(tmp_path), **server.connection(),
    }  # fmt: skip
    with AzureVMClient(**options) as first:
        first.create_resource_group(RG, PLACE)
        with pytest.raises(OperationTimeoutError, match="30 minutes"):
            first.create_vm(RG, "slow", PLACE, SIZE)
    with AzureVMClient(**{**options, "operations": FileOperationStore(tmp_path)}) as second:
        (pending,) = second.pending_operations()
        assert (pending.kind, pending.vm_name) == ("create_or_update", "slow")
        operation = next(one for one in server.world.operations.values() if one.target.endswith("/slow"))
        with server.world.lock:
            operation.due = server.clock.now()
        machine = second.resume(pending)
        assert machine is not None
        assert machine.state is VMState.RUNNING
        assert second.pending_operations() == []


def test_every_request_is_told_of(server: ArmServer) -> None:
    calls: list[ArmCall] = []
    with AzureVMClient(
        credential_factory=server.credential, subscription_id=server.subscription_id, on_call=calls.append,
        **server.connection(),
    ) as client:  # fmt: skip
        client.create_resource_group(RG, PLACE)
        client.create_vm(RG, "vm", PLACE, SIZE)
    assert [(call.method, call.status) for call in calls] == [
        (one.method, one.status) for one in server.world.asked
    ]
    put = next(call for call in calls if call.method == "PUT" and call.path.endswith("/virtualMachines/vm"))
    assert put.request_id
    assert len(put.request_hash) == len(put.response_hash) == 64
    assert put.request_hash != put.response_hash


def test_polling_waits_longer_and_longer(client: AzureVMClient, server: ArmServer) -> None:
    server.world.latencies["create"] = (500.0, 500.0)
    client.create_vm(RG, "vm", PLACE, SIZE)
    polls = [one.at for one in server.world.asked if "/operations/" in one.path and "Compute" in one.path]
    # At once, after 1, 2, 4, 8, 16, and then every 32 seconds; 500 in all.
    assert 10 <= len(polls) <= 24


def test_errors_are_ours(client: AzureVMClient) -> None:
    for error in (AzureNotFoundError, CapacityError, UnreachableError, InvalidRequestError):
        assert issubclass(error, AzureVMError)
        assert issubclass(error, ElspethError)


def test_errors_without_a_response_are_known_by_their_kind() -> None:
    for raised, ours in (
        (ResourceNotFoundError("gone"), AzureNotFoundError),
        (ResourceExistsError("there"), ConflictError),
        (HttpResponseError("broken"), AzureVMError),
    ):
        with pytest.raises(ours, match="look: "), translated("look"):
            raise raised
