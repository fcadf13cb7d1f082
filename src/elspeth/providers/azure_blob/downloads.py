"""Downloading: in ranges, several at a time, all of one version of the blob."""

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from elspeth.providers.azure_blob.base import MIB, ClientBase
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.info import BlobInfo, info_of

RANGE_BYTES = 8 * MIB
_NO_SUCH_RANGE = 416


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A blob that was written to a file. ``sha256`` (hex) is that of the whole, if it was asked for."""

    info: BlobInfo
    sha256: str = ""


class Downloads(ClientBase):
    """Everything that reads a blob's content."""

    def download_blob(
        self,
        container: str,
        blob: str,
        *,
        offset: int = 0,
        length: int | None = None,
        if_match: str | None = None,
        version: str | None = None,
    ) -> bytes:
        """The content as bytes, all of it in memory; ``offset`` and ``length`` ask for a part,
        ``version`` (an id, or what `create_snapshot` gave) for an earlier state.

        Raises BlobNotFoundError, BlobChangedError (``if_match`` is the ETag that must hold),
        BlobArchivedError, BlobError.
        """
        client = self._blob(container, blob, version)
        reader = _Ranges(self, container, client, if_match)
        return b"".join(reader.pieces(offset, length))

    def read_blob(self, container: str, blob: str, *, if_match: str | None = None) -> tuple[bytes, BlobInfo]:
        """The whole content, and the properties (with the version, where versions are kept) that it had.

        Raises what `download_blob` raises.
        """
        reader = _Ranges(self, container, self._blob(container, blob), if_match)
        data = b"".join(reader.pieces(0, None))
        assert reader.info is not None
        return data, reader.info

    def stream_blob(
        self,
        container: str,
        blob: str,
        *,
        offset: int = 0,
        length: int | None = None,
        if_match: str | None = None,
        version: str | None = None,
    ) -> Iterator[bytes]:
        """The content in pieces of 8 MiB, fetched a few ahead; raises what `download_blob` raises.

        All pieces are of one version: a blob that is written to meanwhile is a BlobChangedError.
        """
        client = self._blob(container, blob, version)
        return _Ranges(self, container, client, if_match).pieces(offset, length)

    def download_to_file(
        self, container: str, blob: str, path: Path, *, if_match: str | None = None, hashed: bool = False
    ) -> Downloaded:
        """Write the content to a file, which appears in one step when it is complete.

        ``hashed``: take its SHA-256 on the way, which may cost more than all the rest.
        Raises what `download_blob` raises, and OSError.
        """
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            done = self.download_into(container, blob, part, if_match=if_match, hashed=hashed)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return done

    def download_into(
        self, container: str, blob: str, path: Path, *, if_match: str | None = None, hashed: bool = False
    ) -> Downloaded:
        """The same, straight into the file: after an error it holds a part of the content."""
        reader = _Ranges(self, container, self._blob(container, blob), if_match)
        whole = hashlib.sha256()
        with open(path, "wb", buffering=0) as file:
            if hashed:
                at = 0
                for piece in reader.pieces(0, None):
                    whole.update(piece)
                    _write(file.fileno(), piece, at)
                    at += len(piece)
            else:
                reader.into(file.fileno())
        assert reader.info is not None
        return Downloaded(reader.info, whole.hexdigest() if hashed else "")


class _Ranges:
    """One version of one blob, read range by range. The first answer says which version and how long."""

    def __init__(self, client: Downloads, container: str, blob: BlobClient, if_match: str | None) -> None:
        self._client = client
        self._container = container
        self._blob = blob
        self._etag = if_match
        self.info: BlobInfo | None = None

    def pieces(self, offset: int, length: int | None) -> Iterator[bytes]:
        if length == 0:
            return
        first = self._get(offset, RANGE_BYTES if length is None else min(length, RANGE_BYTES))
        assert self.info is not None
        self._etag = self.info.etag
        end = self.info.size if length is None else min(offset + length, self.info.size)
        starts = range(offset + len(first), end, RANGE_BYTES)
        if not starts:
            yield first
            return
        with ThreadPoolExecutor(self._client.concurrency, "blob-download") as pool:
            waiting: deque[Future[bytes]] = deque()
            try:
                yielded = False
                for start in starts:
                    waiting.append(pool.submit(self._get, start, min(RANGE_BYTES, end - start)))
                    if len(waiting) < self._client.concurrency:
                        continue
                    if not yielded:
                        yielded = True
                        yield first
                        first = b""
                    yield waiting.popleft().result()
                if not yielded:
                    yield first
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def into(self, descriptor: int) -> None:
        """Write the whole into an empty file, each range as it comes and at its place."""
        first = self._get(0, RANGE_BYTES)
        assert self.info is not None
        self._etag, end = self.info.etag, self.info.size
        _write(descriptor, first, 0)
        starts = range(len(first), end, RANGE_BYTES)
        if not starts:
            return

        def fill(start: int) -> None:
            _write(descriptor, self._get(start, min(RANGE_BYTES, end - start)), start)

        with ThreadPoolExecutor(self._client.concurrency, "blob-download") as pool:
            try:
                for _ in pool.map(fill, starts):
                    pass
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _get(self, start: int, size: int) -> bytes:
        condition: dict[str, Any] = {}
        if self._etag:
            condition = {"etag": self._etag, "match_condition": MatchConditions.IfNotModified}

        def get(attempt: Attempt) -> bytes:
            hook = attempt.note
            try:
                stream = self._blob.download_blob(
                    start, size, max_concurrency=1, raw_response_hook=hook, **condition
                )
            except HttpResponseError as error:
                if error.status_code != _NO_SUCH_RANGE or start:
                    raise
                # An empty blob has no first range.
                stream = self._blob.download_blob(raw_response_hook=hook, **condition)
            if self.info is None:
                self.info = _whole(info_of(self._container, stream.properties), stream.properties)
            # The library's readall() copies; one piece joined is that piece.
            data: bytes = b"".join(stream.chunks())
            attempt.received = len(data)
            return data

        name = str(self._blob.blob_name)
        request = {"offset": start, "length": size, "if_match": self._etag}
        return self._client._call("download_blob", self._container, name, get, **request)


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _whole(info: BlobInfo, properties: Any) -> BlobInfo:
    """The library gives the size of the range as the blob's size: the whole is behind the range's slash."""
    total = str(properties.content_range or "").rpartition("/")[2]
    return replace(info, size=int(total)) if total.isdigit() else info
