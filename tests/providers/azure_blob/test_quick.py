"""Small blobs through obstore."""

import pytest

from elspeth.providers.azure_blob.base import Pace
from elspeth.providers.azure_blob.calls import BlobCall, Retrying
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobChangedError, BlobNotFoundError
from elspeth.providers.azure_blob.quick import MOST_BYTES, QuickReader
from elspeth.testing.azurite import ACCOUNT, Azurite
from elspeth.testing.fault_proxy import Fault, FaultProxy

pytest.importorskip("obstore")


@pytest.fixture
def calls() -> list[BlobCall]:
    return []


@pytest.fixture
def told(azurite: Azurite, calls: list[BlobCall]) -> AzureBlobClient:
    return AzureBlobClient(connection_string=azurite.connection_string, on_call=calls.append)


def reader(client: AzureBlobClient) -> QuickReader:
    found = QuickReader.of(client)
    assert found is not None
    return found


def test_with_a_key_and_every_read_is_told(
    told: AzureBlobClient, calls: list[BlobCall], container: str
) -> None:
    etag = told.upload_blob(container, "a/b.json", "content").etag
    (info,) = told.list_blobs(container)
    calls.clear()
    quick = reader(told)
    assert quick.takes(info)
    assert quick.read(info) == (b"content", "")
    (call,) = calls
    assert (call.operation, call.status, call.etag, call.bytes_received) == ("download_blob", 200, etag, 7)
    assert call.ok
    assert call.duration_ms > 0
    assert call.request["through"] == "obstore"
    assert call.request["if_match"] == etag


def test_with_a_signature(client: AzureBlobClient, azurite: Azurite, container: str) -> None:
    client.upload_blob(container, "a.json", "content")
    sas = client.generate_sas(container, "", "rl")
    with AzureBlobClient(lambda: sas, ACCOUNT, account_url=azurite.url) as signed:
        (info,) = signed.list_blobs(container)
        quick = reader(signed)
        assert quick.read(info) == (b"content", "")
        assert quick.takes(info)


def test_what_it_leaves_to_the_library(client: AzureBlobClient, container: str) -> None:
    quick = reader(client)
    for name in ("100% sure.json", "é.json", "a b.json", "a+b", "x" * 3):
        client.upload_blob(container, name, "content")
    client.upload_blob(container, "empty", b"")
    client.upload_blob(container, "large", bytes(MOST_BYTES + 1))
    assert [info.name for info in client.list_blobs(container) if quick.takes(info)] == ["xxx"]


def test_a_blob_that_changed_or_went(told: AzureBlobClient, calls: list[BlobCall], container: str) -> None:
    told.upload_blob(container, "a", "old")
    told.upload_blob(container, "b", "old")
    changed, gone = told.list_blobs(container)
    told.upload_blob(container, "a", "new", overwrite=True)
    told.delete_blob(container, "b")
    calls.clear()
    quick = reader(told)
    with pytest.raises(BlobChangedError):
        quick.read(changed)
    with pytest.raises((BlobChangedError, BlobNotFoundError)):  # the emulator says 412 of what is gone
        quick.read(gone)
    assert [(call.ok, call.retries, call.request_id != "") for call in calls] == [(False, 1, True)] * 2
    assert calls[0].status == 412
    assert quick.takes(changed)


def test_a_service_that_is_busy(azurite: Azurite, client: AzureBlobClient, container: str) -> None:
    for number in range(8):
        client.upload_blob(container, f"blob-{number}", str(number))
    infos = list(client.list_blobs(container))
    answers = iter([Fault.BUSY, Fault.BUSY, Fault.CUT, Fault.RESET] * 20)
    calls: list[BlobCall] = []
    with FaultProxy(azurite.endpoint, lambda _method, _path: next(answers, Fault.NONE)) as proxy:
        pace = Pace(Retrying(attempts=200, initial_s=0.0))
        with AzureBlobClient(
            connection_string=Azurite.connection_string_for(proxy.endpoint), pace=pace, on_call=calls.append
        ) as troubled:
            quick = reader(troubled)
            assert [quick.read(info) for info in infos] == [(str(number).encode(), "") for number in range(8)]
            assert not quick.takes(infos[0])  # it has given up by now
    assert [call.ok for call in calls] == [True] * 8
    assert sum(call.retries for call in calls) >= 40
