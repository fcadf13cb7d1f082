"""A client, and a container of its own for every test."""

import base64
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.core.credentials import AccessToken

from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.testing.azurite import ACCOUNT, Azurite, Certificate

ROOT = Path(__file__).resolve().parents[3]
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


class Token:
    """A credential such as azure-identity gives, with a JWT that nobody signed: the emulator takes any."""

    def get_token(self, *_scopes: str, **_more: Any) -> AccessToken:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/",
            "iat": now, "nbf": now,
            "exp": now + 3600, "oid": "00000000-0000-0000-0000-000000000001",
            "tid": "00000000-0000-0000-0000-000000000002",
        }  # fmt: skip
        parts = ({"alg": "none", "typ": "JWT"}, claims)
        text = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
        )
        return AccessToken(f"{text}.c2ln", now + 3600)


@pytest.fixture
def by_token(tmp_path: Path) -> Iterator[tuple[Azurite, AzureBlobClient, str]]:
    """An emulator that speaks https, and a client that has nothing but a token."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    certificate.cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(certificate.key)
    trusted = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(trusted)
    with (
        Azurite(ROOT, certificate=certificate) as server,
        AzureBlobClient(Token(), ACCOUNT, account_url=server.url, connection_verify=trusted) as client,
    ):
        yield server, client, trusted
