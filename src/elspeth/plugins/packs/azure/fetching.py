"""Blobs on their way to this machine, some ahead of the one that is read."""

import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from elspeth.providers.azure_blob.cache import BlobCache
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobError
from elspeth.providers.azure_blob.info import BlobInfo, BlobState


@dataclass(frozen=True, slots=True)
class Fetched:
    """A blob, and the file that it is in; or why it could not be had (``path`` is None then)."""

    info: BlobInfo
    path: Path | None
    error: BlobError | None = None


class Fetcher:
    """Downloads blobs into temporary files, a bounded number ahead, and hands them out in order."""

    def __init__(
        self, client: AzureBlobClient, ahead: int, ahead_bytes: int, cache: BlobCache | None = None
    ) -> None:
        self._client = client
        self._ahead = ahead
        self._ahead_bytes = ahead_bytes
        self._cache = cache
        self._directory = tempfile.TemporaryDirectory(prefix="elspeth-blobs-")
        self._pool = ThreadPoolExecutor(ahead, "blob-fetch")

    def fetch(self, blobs: Iterator[BlobInfo]) -> Iterator[Fetched]:
        """The blobs in order, each in a file that is gone when the next one is asked for."""
        waiting: deque[tuple[BlobInfo, Future[Fetched]]] = deque()
        pending = 0
        number = 0
        following = next(blobs, None)
        while waiting or following is not None:
            while following is not None and (
                not waiting or (len(waiting) < self._ahead and pending + following.size <= self._ahead_bytes)
            ):
                waiting.append((following, self._pool.submit(self._get, following, number)))
                pending += following.size
                number += 1
                following = next(blobs, None)
            info, future = waiting.popleft()
            pending -= info.size
            fetched = future.result()
            yield fetched
            if fetched.path is not None and self._cache is None:
                fetched.path.unlink(missing_ok=True)

    def _get(self, info: BlobInfo, number: int) -> Fetched:
        if info.state is BlobState.ARCHIVED:
            target = self._client._target(info.container, info.name)
            return Fetched(info, None, BlobError("download_blob", target, "archived", "blob is archived"))
        path = Path(self._directory.name) / f"{number}{Path(info.name).suffix[:16]}"
        try:
            if self._cache is not None:
                return Fetched(info, self._cache.get(self._client, info))
            self._client.download_into(info.container, info.name, path, if_match=info.etag)
        except BlobError as error:
            return Fetched(info, None, error)
        return Fetched(info, path)

    def close(self) -> None:
        """Stop fetching and remove the files."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._directory.cleanup()
