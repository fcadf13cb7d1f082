"""Blobs on their way to this machine, some ahead of the one that is read."""

import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from elspeth.providers.azure_blob.cache import BlobCache
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobError
from elspeth.providers.azure_blob.info import BlobInfo, BlobState
from elspeth.providers.azure_blob.quick import QuickReader

_SMALL = 1024 * 1024  # kept in memory


@dataclass(frozen=True, slots=True)
class Fetched:
    """A blob and its content: in ``data`` if it is small, else in the file ``path``; or why there is none.

    `file` makes a file of it in any case.
    """

    info: BlobInfo
    path: Path
    data: bytes | None = None
    error: BlobError | None = None

    def file(self) -> Path:
        """A file that the content is in."""
        if self.data is not None and not self.path.exists():
            self.path.write_bytes(self.data)
        return self.path

    def head(self, size: int) -> bytes:
        """The first bytes."""
        if self.data is not None:
            return self.data[:size]
        with open(self.path, "rb") as file:
            return file.read(size)


class Fetcher:
    """Downloads blobs, a bounded number ahead, and hands them out in order: large ones in temporary files."""

    def __init__(
        self,
        client: AzureBlobClient,
        ahead: int,
        ahead_bytes: int,
        *,
        cache: BlobCache | None = None,
        quick: bool = False,
    ) -> None:
        self._client = client
        self._quick = QuickReader.of(client) if quick else None
        # More than are fetched at once, so that a slow one does not keep the others from their work.
        self._most_waiting = 4 * (ahead - 1) + 1
        self._ahead_bytes = ahead_bytes
        self._cache = cache
        self._directory = tempfile.TemporaryDirectory(prefix="elspeth-blobs-")
        self._pool = ThreadPoolExecutor(ahead, "blob-fetch")

    def fetch(self, blobs: Iterator[BlobInfo]) -> Iterator[Fetched]:
        """The blobs in order; a file is gone when the next one is asked for."""
        waiting: deque[tuple[BlobInfo, Future[Fetched]]] = deque()
        pending = 0
        number = 0
        following = next(blobs, None)
        while waiting or following is not None:
            while following is not None and (
                not waiting
                or (len(waiting) < self._most_waiting and pending + following.size <= self._ahead_bytes)
            ):
                waiting.append((following, self._pool.submit(self._get, following, number)))
                pending += following.size
                number += 1
                following = next(blobs, None)
            info, future = waiting.popleft()
            pending -= info.size
            fetched = future.result()
            yield fetched
            if self._cache is None:
                fetched.path.unlink(missing_ok=True)

    def _get(self, info: BlobInfo, number: int) -> Fetched:
        path = Path(f"{self._directory.name}/{number}")
        if info.state is BlobState.ARCHIVED:
            target = self._client._target(info.container, info.name)
            error = BlobError("download_blob", target, "archived", "blob is archived")
            return Fetched(info, path, error=error)
        try:
            if self._cache is not None:
                return Fetched(info, self._cache.get(self._client, info))
            if self._quick is not None and self._quick.takes(info):
                data, version = self._quick.read(info)
                return Fetched(_versioned(info, version), path, data)
            if info.size <= _SMALL:
                data, found = self._client.read_blob(info.container, info.name, if_match=info.etag)
                return Fetched(_versioned(info, found.version_id), path, data)
            done = self._client.download_into(info.container, info.name, path, if_match=info.etag)
        except BlobError as error:
            return Fetched(info, path, error=error)
        return Fetched(_versioned(info, done.info.version_id), path)

    def close(self) -> None:
        """Stop fetching and remove the files."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._directory.cleanup()


def _versioned(info: BlobInfo, version: str) -> BlobInfo:
    """A listing leaves the version out; what was read tells it."""
    return replace(info, version_id=version) if version else info
