"""Exactly one way in, and no secret in sight."""

from typing import Any

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.credentials import BlobLogin

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({"connection_string": f"AccountName=a;AccountKey={SECRET}"}, "connection_string"),
        ({"account_name": "a", "account_key": SECRET}, "account_key"),
        ({"account_name": "a", "sas_token": "?sig=x"}, "sas_token"),
        ({"account_name": "a", "use_default_credential": True}, "use_default_credential"),
        ({"account_name": "a", "use_managed_identity": True}, "use_managed_identity"),
        ({"account_name": "a", "use_managed_identity": True, "client_id": "c"}, "use_managed_identity"),
        ({"account_name": "a", "tenant_id": "t", "client_id": "c", "client_secret": SECRET}, "client_secret"),
    ],
)
def test_every_way(given: dict[str, Any], way: str) -> None:
    login = BlobLogin(**given).check()
    assert login.way() == way
    assert login.account() == "https://a.blob.core.windows.net"
    assert SECRET not in repr(login)
    with AzureBlobClient.from_login(login) as client:
        assert client.account_name == "a"
        assert "sig=" not in client.url


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"account_name": "a"},
            "no credential was given; give exactly one of: connection_string, account_key",
        ),
        ({"account_key": SECRET}, "account_name"),
        (
            {"account_name": "a", "account_key": SECRET, "sas_token": "sig=x", "use_managed_identity": True},
            "exactly one credential is needed, 3 were given: account_key, sas_token, use_managed_identity",
        ),
        ({"account_name": "a", "client_secret": SECRET}, "needs tenant_id, client_id and client_secret"),
        ({"account_name": "a", "client_id": "c"}, "client_id alone is no credential"),
        ({"connection_string": "AccountName=a", "account_name": "b"}, "names the account already"),
    ],
)
def test_none_several_or_half_a_way(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        BlobLogin(**given).check()
    assert SECRET not in str(caught.value)


def test_a_broken_connection_string_is_not_quoted() -> None:
    with pytest.raises(UsageError, match="can't be understood") as caught:
        AzureBlobClient(connection_string=f"AccountKey={SECRET}")
    assert SECRET not in str(caught.value)
    with pytest.raises(UsageError, match="account_name, account_url or connection_string is missing"):
        AzureBlobClient()
