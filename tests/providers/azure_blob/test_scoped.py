"""Credentials for untrusted code: one blob each, reading only, 300 seconds, from an identity."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from elspeth.contracts.errors import UsageError
from elspeth.contracts.plugins import PluginContext
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder
from elspeth.fabric.chassis import ChassisError
from elspeth.plugins.transforms.wasm_grants import BlobFetcher, GrantOptions
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobRefusedError
from elspeth.providers.azure_blob.scoped import NotGrantedError, ScopedBlobs
from elspeth.testing.azurite import ACCOUNT, Azurite


def test_just_what_is_on_the_list_and_nothing_but_reading(
    by_token: tuple[Azurite, AzureBlobClient, str],
) -> None:
    server, client, trusted = by_token
    client.create_container("rates")
    for name in ("eu.json", "us.json"):
        client.upload_blob("rates", name, name.encode())
    scoped = ScopedBlobs(client, ["rates/eu.json"], connection_verify=trusted)
    assert scoped.read("rates/eu.json") == b"eu.json"
    for other in ("rates/us.json", "rates/eu.jso", "rates/*", "rates/", "rates/../rates/eu.json", ""):
        with pytest.raises(NotGrantedError, match="not on the list"):
            scoped.read(other)
    sas = scoped.signature("rates/eu.json")
    told = {name: values[0] for name, values in parse_qs(sas).items()}
    assert (told["sp"], told["sr"], told["spr"]) == ("r", "b", "https")
    assert "skoid" in told
    left = datetime.fromisoformat(told["se"]) - datetime.now(UTC)
    assert 290 <= left.total_seconds() <= 300
    with AzureBlobClient(lambda: sas, ACCOUNT, account_url=server.url, connection_verify=trusted) as thief:
        for steal in (
            lambda: thief.download_blob("rates", "us.json"),
            lambda: thief.delete_blob("rates", "eu.json"),
            lambda: list(thief.list_blobs("rates")),
        ):
            with pytest.raises(BlobRefusedError):
                steal()


def test_a_modules_fetches_are_scoped_and_on_record(
    by_token: tuple[Azurite, AzureBlobClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client, trusted = by_token
    client.create_container("rates")
    client.upload_blob("rates", "eu.json", b"1.07")
    monkeypatch.setattr(AzureBlobClient, "from_login", lambda login, **more: client)
    fetcher = BlobFetcher(
        {"container": "rates", "allow": ["eu.json"], "account_name": ACCOUNT, "use_managed_identity": True}
    )
    with pytest.raises(ChassisError, match="before the run begins"):
        fetcher.fetch("rates/eu.json")
    with closing(LandscapeDB.in_memory()) as db:
        recorder = LandscapeRecorder(db)
        ctx = PluginContext(landscape=recorder, run_id="r", node_id="score")
        fetcher.begin(ctx, connection_verify=trusted)
        assert fetcher.fetch("rates/eu.json") == b"1.07"
        with pytest.raises(ChassisError, match="is not on the list") as caught:
            fetcher.fetch("rates/us.json")
        assert caught.value.reason == "grant"
        fetcher.note(ctx)
        fetcher.close()
        made = recorder.get_external_calls("r-score")
        assert "download_blob" in [call.operation for call in made]
        assert "sig=" not in "".join(f"{call.request}{call.response}" for call in made)


@pytest.mark.parametrize(
    ("blobs", "said"),
    [
        ({"allow": ["a"]}, "container"),
        ({"container": "rates", "account_name": "x", "account_key": "k"}, "only an identity can delegate"),
        ({"container": "rates", "account_name": "x", "use_managed_identity": True, "alow": []}, "alow"),
    ],
)
def test_a_grant_that_cannot_work_is_refused(blobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GrantOptions.model_validate({"blobs": blobs})


def test_an_empty_list_grants_nothing(by_token: tuple[Azurite, AzureBlobClient, str]) -> None:
    _, client, trusted = by_token
    client.create_container("rates")
    with pytest.raises(NotGrantedError):
        ScopedBlobs(client, [], connection_verify=trusted).read("rates/eu.json")


def test_a_key_delegates_nothing(azurite: Azurite) -> None:
    with AzureBlobClient(connection_string=azurite.connection_string) as client:
        with pytest.raises(UsageError, match="only an identity can delegate"):
            ScopedBlobs(client, ["a/b"]).read("a/b")
        with pytest.raises(UsageError, match="names no blob"):
            ScopedBlobs(client, ["everything"])
