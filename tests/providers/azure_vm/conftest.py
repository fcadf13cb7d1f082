"""A server that speaks Azure Resource Manager's protocol, and the client on its clock."""

from collections.abc import Iterator

import pytest

from elspeth.providers.azure_vm.client import AzureVMClient
from elspeth.testing.arm import ArmServer

RG, PLACE, SIZE = "rg", "westeurope", "Standard_D2s_v3"


@pytest.fixture
def server() -> Iterator[ArmServer]:
    with ArmServer(speed=300.0) as running:
        yield running


@pytest.fixture
def client(server: ArmServer) -> Iterator[AzureVMClient]:
    """A client with a resource group to work in."""
    with AzureVMClient(
        credential_factory=server.credential, subscription_id=server.subscription_id, **server.connection()
    ) as made:
        made.create_resource_group(RG, PLACE)
        yield made
