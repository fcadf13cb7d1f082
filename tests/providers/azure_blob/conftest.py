"""A client, and a container of its own for every test."""

import itertools
from collections.abc import Iterator

import pytest

from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import Azurite

NUMBERS = itertools.count(1)


@pytest.fixture
def client(azurite: Azurite) -> Iterator[AzureBlobClient]:
    with AzureBlobClient(connection_string=azurite.connection_string) as made:
        yield made


@pytest.fixture
def container(client: AzureBlobClient) -> str:
    name = f"provider-{next(NUMBERS)}"
    client.create_container(name)
    return name
