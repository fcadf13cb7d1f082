"""The local cache: right by ETag, bounded, and shared."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from elspeth.providers.azure_blob.cache import BlobCache
from elspeth.providers.azure_blob.client import AzureBlobClient


def downloads(client: AzureBlobClient) -> int:
    health = client.health().get("download_blob")
    return health.calls if health else 0


def test_what_is_unchanged_is_not_fetched_again(
    client: AzureBlobClient, container: str, tmp_path: Path
) -> None:
    cache = BlobCache(tmp_path, 10**6)
    client.upload_blob(container, "a", b"one")
    assert cache.fetch(client, container, "a").read_bytes() == b"one"
    assert cache.fetch(client, container, "a").read_bytes() == b"one"
    assert downloads(client) == 1
    client.upload_blob(container, "a", b"two", overwrite=True)
    assert cache.fetch(client, container, "a").read_bytes() == b"two"
    trusting = BlobCache(tmp_path, 10**6, trust_s=3600)
    asked = client.health()["get_blob_properties"].calls
    assert trusting.fetch(client, container, "a").read_bytes() == b"two"
    assert client.health()["get_blob_properties"].calls == asked
    cache.clear()
    assert cache.fetch(client, container, "a").read_bytes() == b"two"


def test_it_stays_below_its_limit(client: AzureBlobClient, container: str, tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 250)
    for number in range(5):
        client.upload_blob(container, str(number), bytes([number]) * 100)
        assert cache.fetch(client, container, str(number)).read_bytes() == bytes([number]) * 100
    assert sum(path.stat().st_size for path in (tmp_path / "contents").iterdir()) <= 250


def test_several_users_at_once(client: AzureBlobClient, container: str, tmp_path: Path) -> None:
    caches = [BlobCache(tmp_path, 2_000) for _ in range(2)]
    for number in range(8):
        client.upload_blob(container, str(number), bytes([number]) * 500)

    def read(turn: int) -> bool:
        number = turn % 8
        path = caches[turn % 2].fetch(client, container, str(number))
        try:
            return path.read_bytes() == bytes([number]) * 500
        except FileNotFoundError:
            return True  # made room for another one, as it says

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(80)))
    assert not [path for path in (tmp_path / "contents").iterdir() if path.name.startswith(".")]
