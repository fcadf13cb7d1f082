"""The client against a real blob service."""

import hashlib
import io
import random
from dataclasses import replace
from pathlib import Path

import pytest

from elspeth.providers.azure_blob import uploads
from elspeth.providers.azure_blob.blocks import BLOCK_ID_CHARS, block_id, block_size_for, cut
from elspeth.providers.azure_blob.calls import BlobCall
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import (
    BlobArchivedError,
    BlobChangedError,
    BlobError,
    BlobExistsError,
    BlobNotFoundError,
)
from elspeth.providers.azure_blob.info import BlobState
from elspeth.providers.azure_blob.uploads import Label
from elspeth.testing.azurite import KEY, Azurite

KIB = 1024


def test_the_constructor_of_the_contract(azurite: Azurite, container: str) -> None:
    made = AzureBlobClient(
        credential_factory=lambda: KEY, account_name="devstoreaccount1", account_url=azurite.url
    )
    made.upload_blob(container, "a.txt", b"hello")
    assert made.download_blob(container, "a.txt") == b"hello"
    assert [blob.name for blob in made.list_blobs(container)] == ["a.txt"]
    made.close()


@pytest.mark.parametrize("data", [b"", b"bytes", "téxt", bytearray(b"array"), memoryview(b"view")])
def test_up_and_down(client: AzureBlobClient, container: str, data: bytes) -> None:
    done = client.upload_blob(container, "a", data)
    expected = data.encode() if isinstance(data, str) else bytes(data)
    assert client.download_blob(container, "a") == expected
    assert b"".join(client.stream_blob(container, "a")) == expected
    assert (done.size, done.sha256) == (len(expected), hashlib.sha256(expected).hexdigest())
    found = client.get_blob_properties(container, "a")
    assert (found.size, found.etag, found.state) == (len(expected), done.etag, BlobState.AVAILABLE)


def test_conditional_writes(client: AzureBlobClient, container: str) -> None:
    first = client.upload_blob(container, "a", b"1")
    with pytest.raises(BlobExistsError) as caught:
        client.upload_blob(container, "a", b"2")
    assert caught.value.reason == "blob_exists"
    second = client.upload_blob(container, "a", b"2", label=Label(if_match=first.etag))
    with pytest.raises(BlobChangedError):
        client.upload_blob(container, "a", b"3", label=Label(if_match=first.etag))
    with pytest.raises(BlobExistsError):
        client.upload_blob_staged(container, "a", b"3", overwrite=False)
    assert client.download_blob(container, "a", if_match=second.etag) == b"2"
    with pytest.raises(BlobChangedError):
        client.download_blob(container, "a", if_match=first.etag)
    client.upload_blob(container, "a", b"4", overwrite=True)
    assert client.download_blob(container, "a") == b"4"


def test_a_staged_upload_goes_on_where_it_was_cut_off(client: AzureBlobClient, container: str) -> None:
    data = random.Random(1).randbytes(1000 * KIB)
    size = 64 * KIB
    pieces = [bytes(piece) for piece in cut(data, size)]
    for index in (0, 3, 7):
        client.stage_block(container, "big", block_id(index, pieces[index]), pieces[index])
    client.stage_block(container, "big", block_id(5, b"stale"), b"stale")
    assert {len(one) for one in client.staged_blocks(container, "big")} == {BLOCK_ID_CHARS} == {48}
    assert not client.exists(container, "big")
    done = client.upload_blob_staged(container, "big", data, block_size=size)
    assert (done.blocks_reused, done.blocks_staged) == (3, len(pieces) - 3)
    assert client.download_blob(container, "big") == data
    assert done.sha256 == hashlib.sha256(data).hexdigest()
    assert client.get_blob_properties(container, "big").metadata["elspeth_sha256"] == done.sha256
    assert list(client.committed_blocks(container, "big").values()) == [len(piece) for piece in pieces]


def test_streams_are_cut_into_the_same_blocks(
    client: AzureBlobClient, container: str, tmp_path: Path
) -> None:
    data = random.Random(2).randbytes(300 * KIB + 1)
    (tmp_path / "file").write_bytes(data)
    with open(tmp_path / "file", "rb") as file:
        client.upload_blob(container, "file", file)
    odd = (data[start : start + 999] for start in range(0, len(data), 999))
    client.upload_blob_staged(container, "pieces", odd, block_size=100 * KIB)
    client.upload_blob_staged(container, "stream", io.BytesIO(data), block_size=100 * KIB)
    assert client.download_blob(container, "file") == data
    assert client.download_blob(container, "pieces") == client.download_blob(container, "stream") == data
    blocks = client.committed_blocks(container, "pieces")
    assert blocks == client.committed_blocks(container, "stream")
    with open(tmp_path / "file", encoding="latin-1") as text, pytest.raises(TypeError, match='mode "rb"'):
        client.upload_blob(container, "text", text)  # type: ignore[arg-type]


def test_large_content_is_staged_by_itself(
    client: AzureBlobClient, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SINGLE_PUT_BYTES", 100 * KIB)
    client.upload_blob(container, "large", bytes(100 * KIB + 1))
    client.upload_blob(container, "small", bytes(100 * KIB))
    assert client.committed_blocks(container, "large")
    assert not client.committed_blocks(container, "small")


def test_blocks_are_never_too_many() -> None:
    assert block_size_for(10, 4) == 4
    assert block_size_for(None, 4) == 4
    size = block_size_for(10**12, 8 * 1024 * KIB)
    assert -(-(10**12) // size) <= 50_000


def test_blocks_of_another_writer(client: AzureBlobClient, container: str) -> None:
    client.stage_block(container, "a", "short-id", b"x")
    with pytest.raises(BlobError, match="blocks of another writer") as caught:
        client.upload_blob_staged(container, "a", b"mine")
    assert "discard_uncommitted" in caught.value.fix
    assert client.blob_state(container, "a") is BlobState.PENDING
    assert client.discard_uncommitted(container, "a") == 1
    client.upload_blob_staged(container, "a", b"mine")
    assert client.download_blob(container, "a") == b"mine"


def test_ranges_of_a_large_blob(client: AzureBlobClient, container: str, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(20 * 1024 * KIB + 77)
    client.upload_blob(container, "a", data)
    assert client.download_blob(container, "a") == data
    assert (
        client.download_blob(container, "a", offset=9 * 1024 * KIB, length=10 * 1024 * KIB)
        == (data[9 * 1024 * KIB : 19 * 1024 * KIB])
    )
    assert client.download_blob(container, "a", offset=len(data) - 5, length=100) == data[-5:]
    done = client.download_to_file(container, "a", tmp_path / "copy", hashed=True)
    assert (tmp_path / "copy").read_bytes() == data
    assert done.sha256 == hashlib.sha256(data).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_blob_that_changes_while_it_is_streamed(client: AzureBlobClient, container: str) -> None:
    client.concurrency = 1
    client.upload_blob(container, "a", bytes(40 * 1024 * KIB))
    pieces = client.stream_blob(container, "a")
    next(pieces)
    client.upload_blob(container, "a", b"other", overwrite=True)
    with pytest.raises(BlobChangedError):
        list(pieces)


def test_a_listing_tells_what_the_properties_tell(client: AzureBlobClient, container: str) -> None:
    label = Label("text/x", {"team": "a"}, {"kind": "b c"}, "Cool")
    client.upload_blob(container, "a & <é>'\"/100%.txt", "content", label=label)
    snapshot = client.create_snapshot(container, "a & <é>'\"/100%.txt")
    (old, found) = client.list_blobs(container, include=("metadata", "tags", "snapshots"))
    assert old.snapshot == snapshot
    known = client.get_blob_properties(container, found.name)
    assert found.tags == {"kind": "b c"}
    assert replace(found, tags={}) == known
    assert found.metadata["team"] == "a"
    (plain,) = client.list_blobs(container)
    assert plain == replace(known, metadata={})


def test_whether_a_blob_is_there_is_no_failed_call(azurite: Azurite, container: str) -> None:
    calls: list[BlobCall] = []
    with AzureBlobClient(connection_string=azurite.connection_string, on_call=calls.append) as client:
        assert client.find_blob(container, "a") is None
        assert not client.exists(container, "a")
        assert client.staged_blocks(container, "a") == {}
        assert [(call.ok, call.status) for call in calls] == [(True, 404)] * 3
        client.upload_blob(container, "a", b"x")
        found = client.find_blob(container, "a")
        assert found is not None
        assert found.size == 1
        for ask in (client.find_blob, client.exists, client.staged_blocks):
            with pytest.raises(BlobNotFoundError) as raised:
                ask("not-there", "a")
            assert raised.value.reason == "container_not_found"


def test_listing_by_pages(client: AzureBlobClient, container: str) -> None:
    for number in range(7):
        client.upload_blob(container, f"in/{number}", b"x", label=Label(metadata={"n": str(number)}))
    client.upload_blob(container, "other", b"x")
    assert list(client.list_blob_names(container, "in/", page_size=3)) == [f"in/{n}" for n in range(7)]
    found = list(client.list_blobs(container, "in/", include=("metadata",), page_size=2))
    assert [blob.metadata["n"] for blob in found] == [str(n) for n in range(7)]
    assert found[0].etag == client.get_blob_properties(container, "in/0").etag
    assert client.health()["list_blobs"].calls == 4


def test_metadata_tags_and_tiers(client: AzureBlobClient, container: str) -> None:
    client.upload_blob(
        container, "a", b"x", label=Label("text/plain", {"team": "one"}, {"kind": "test"}, tier="Cool")
    )
    found = client.get_blob_properties(container, "a")
    assert (found.content_type, found.metadata["team"], found.tier) == ("text/plain", "one", "Cool")
    assert client.get_tags(container, "a") == {"kind": "test"}
    client.set_tags(container, "a", {"kind": "other"})
    assert client.get_tags(container, "a") == {"kind": "other"}
    etag = client.set_metadata(container, "a", {"team": "two"})
    assert client.get_blob_properties(container, "a").etag == etag
    with pytest.raises(BlobChangedError):
        client.set_metadata(container, "a", {}, if_match=found.etag)
    client.set_tier(container, "a", "Archive")
    assert client.blob_state(container, "a") is BlobState.ARCHIVED
    with pytest.raises(BlobArchivedError, match="archived") as caught:
        client.download_blob(container, "a")
    assert "rehydrate" in caught.value.fix
    client.rehydrate(container, "a")
    assert client.blob_state(container, "a") is BlobState.AVAILABLE


def test_copy_snapshot_delete(client: AzureBlobClient, container: str) -> None:
    client.upload_blob(container, "a", b"first")
    copied = client.copy_blob(container, "a", container, "b")
    assert (copied.name, copied.copy_status) == ("b", "success")
    assert client.download_blob(container, "b") == b"first"
    with pytest.raises(BlobExistsError):
        client.copy_blob(container, "a", container, "b", overwrite=False)
    with pytest.raises(BlobNotFoundError):
        client.copy_blob(container, "nothing", container, "c")
    snapshot = client.create_snapshot(container, "a")
    client.upload_blob(container, "a", b"second", overwrite=True)
    assert client.download_blob(container, "a", version=snapshot) == b"first"
    client.delete_blob(container, "a")
    assert client.blob_state(container, "a") is BlobState.DESTROYED
    with pytest.raises(BlobNotFoundError):
        client.delete_blob(container, "a")


def test_leases(client: AzureBlobClient, container: str) -> None:
    client.upload_blob(container, "a", b"x")
    lease = client.acquire_lease(container, "a", seconds=15)
    with pytest.raises(BlobError, match="leased"):
        client.acquire_lease(container, "a", seconds=15)
    with pytest.raises(BlobError) as caught:
        client.upload_blob(container, "a", b"y", overwrite=True)
    assert caught.value.reason == "leased"
    client.renew_lease(container, "a", lease)
    client.release_lease(container, "a", lease)
    client.acquire_lease(container, "a")
    client.break_lease(container, "a")
    client.upload_blob(container, "a", b"y", overwrite=True)
    assert client.release_lease(container, "", client.acquire_lease(container, "", seconds=15)) is None


def test_append_blobs(client: AzureBlobClient, container: str) -> None:
    client.create_append_blob(container, "log")
    with pytest.raises(BlobExistsError):
        client.create_append_blob(container, "log")
    end = client.append_block(container, "log", b"one ", at=0)
    assert client.append_block(container, "log", b"two", at=end) == 7
    with pytest.raises(BlobChangedError):
        client.append_block(container, "log", b"again", at=end)
    assert client.download_blob(container, "log") == b"one two"


def test_containers(client: AzureBlobClient) -> None:
    client.create_container("made-and-gone")
    client.create_container("made-and-gone")
    with pytest.raises(BlobError, match="container exists"):
        client.create_container("made-and-gone", exist_ok=False)
    assert "made-and-gone" in client.list_containers("made-")
    client.set_access_policy("made-and-gone", {"readers": "rl"})
    assert client.get_access_policy("made-and-gone") == {"readers": "rl"}
    client.delete_container("made-and-gone")
    assert client.list_containers("made-and-") == []
    with pytest.raises(BlobNotFoundError) as caught:
        client.upload_blob("made-and-gone", "a", b"x")
    assert caught.value.reason == "container_not_found"


def test_every_call_is_told_without_secrets(azurite: Azurite, container: str) -> None:
    calls: list[BlobCall] = []
    with AzureBlobClient(connection_string=azurite.connection_string, on_call=calls.append) as watched:
        done = watched.upload_blob(container, "a", b"four")
        watched.download_blob(container, "a")
        with pytest.raises(BlobNotFoundError):
            watched.download_blob(container, "nothing")
        up, down, failed = calls
        assert (up.operation, up.status, up.etag, up.bytes_sent, up.retries) == (
            "upload_blob",
            201,
            done.etag,
            4,
            0,
        )
        assert (down.bytes_received, down.status, down.ok) == (4, 206, True)
        assert (failed.reason, failed.status, failed.ok) == ("not_found", 404, False)
        assert all(call.request_id and call.duration_ms > 0 for call in calls)
        assert KEY[:12] not in repr(calls)
        health = watched.health()["download_blob"]
        assert (health.calls, health.errors, health.bytes_received) == (2, 1, 4)
        assert health.p95_ms >= health.p50_ms > 0
