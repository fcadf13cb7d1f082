"""Signatures: what they open, and what they don't."""

from types import SimpleNamespace

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobRefusedError
from elspeth.providers.azure_blob.sas import RenewingSas
from elspeth.testing.azurite import ACCOUNT, Azurite


def holder(azurite: Azurite, sas: str) -> AzureBlobClient:
    return AzureBlobClient(lambda: sas, ACCOUNT, account_url=azurite.url)


@pytest.mark.parametrize("permission", ["r", "read"])
def test_a_blobs_sas_reads_that_blob_only(
    azurite: Azurite, client: AzureBlobClient, container: str, permission: str
) -> None:
    client.upload_blob(container, "a", b"x")
    client.upload_blob(container, "b", b"y")
    sas = client.generate_sas(container, "a", permission, 1)
    assert "sig=" in sas
    with holder(azurite, sas) as other:
        assert other.download_blob(container, "a") == b"x"
        assert "sig=" not in other.url
        with pytest.raises(BlobRefusedError):
            other.upload_blob(container, "a", b"z", overwrite=True)
        with pytest.raises(BlobRefusedError) as caught:
            other.download_blob(container, "b")
        assert "sig=" not in str(caught.value)


def test_container_account_and_policy(azurite: Azurite, client: AzureBlobClient, container: str) -> None:
    client.upload_blob(container, "a", b"x")
    with holder(azurite, client.generate_sas(container, "", "rl", 1)) as other:
        assert list(other.list_blob_names(container)) == ["a"]
    with holder(azurite, client.generate_account_sas("rwl", 1)) as other:
        assert container in other.list_containers()
    assert client.sas_url(container, "a", "r").startswith(f"{azurite.url}/{container}/a?")
    with pytest.raises(UsageError, match="is no permission"):
        client.generate_sas(container, "a", "everything")


def test_an_expired_signature(azurite: Azurite, client: AzureBlobClient, container: str) -> None:
    client.upload_blob(container, "a", b"x")
    with (
        holder(azurite, client.generate_sas(container, "a", "r", -0.01)) as other,
        pytest.raises(BlobRefusedError),
    ):
        other.download_blob(container, "a")


def test_who_has_only_a_signature_cannot_sign(
    azurite: Azurite, client: AzureBlobClient, container: str
) -> None:
    with holder(azurite, client.generate_sas(container, "a", "r")) as other:
        with pytest.raises(UsageError, match="can't be signed"):
            other.generate_sas(container, "a", "r")
        with pytest.raises(UsageError, match="can't be signed"):
            other.generate_account_sas("r")


def test_renewed_at_four_fifths_of_its_life() -> None:
    clock = SimpleNamespace(now=1000.0)
    made = iter(["first", "second", "third"])
    sas = RenewingSas(lambda: next(made), 100.0, lambda: clock.now)
    tokens = []
    for now in (1000, 1079, 1080, 1159, 1160):
        clock.now = float(now)
        tokens.append(sas.token())
    assert tokens == ["first", "first", "second", "second", "third"]


def test_user_delegation(by_token: tuple[Azurite, AzureBlobClient, str]) -> None:
    server, client, trusted = by_token
    client.create_container("delegated")
    client.upload_blob("delegated", "a", b"x")
    sas = client.generate_sas("delegated", "a", "r", 1)
    assert "skoid=" in sas
    with AzureBlobClient(lambda: sas, ACCOUNT, account_url=server.url, connection_verify=trusted) as other:
        assert other.download_blob("delegated", "a") == b"x"
        with pytest.raises(BlobRefusedError):
            other.delete_blob("delegated", "a")
    client.generate_sas("delegated", "a", "r", 1)
    assert client.health()["get_user_delegation_key"].calls == 1
    with pytest.raises(UsageError, match="seven days"):
        client.generate_sas("delegated", "a", "r", 24 * 8)
