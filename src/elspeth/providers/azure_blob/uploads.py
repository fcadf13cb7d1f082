"""Uploading: in one request, or in blocks that are found again after a crash."""

import hashlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings, StandardBlobTier

from elspeth.providers.azure_blob.base import SINGLE_PUT_BYTES, ClientBase, conditions, is_missing_container
from elspeth.providers.azure_blob.blocks import (
    BLOCK_ID_CHARS,
    DEFAULT_BLOCK_BYTES,
    Content,
    block_id,
    block_size_for,
    cut,
    known_size,
)
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.errors import BlobError
from elspeth.providers.azure_blob.info import Uploaded, quoted
from elspeth.providers.azure_blob.retention import Retention

WRITE_KEY = "elspeth_write"
SHA256_KEY = "elspeth_sha256"


@dataclass(frozen=True, slots=True)
class Label:
    """What goes with a blob's content.

    ``tier`` is Hot, Cool, Cold or Archive; None: the account's default. With ``if_match`` (an ETag) the blob
    is written only if it still has that ETag.
    """

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tier: str | None = None
    if_match: str | None = None
    retention: Retention | None = None

    def arguments(self, sha256: str, write: str) -> dict[str, Any]:
        """The library's arguments, with the content's hash and the mark of this write in the metadata."""
        known = {**self.metadata, SHA256_KEY: sha256, WRITE_KEY: write}
        return {
            "content_settings": ContentSettings(content_type=self.content_type),
            "metadata": known,
            **({"tags": dict(self.tags)} if self.tags else {}),
            **({"standard_blob_tier": StandardBlobTier(self.tier)} if self.tier else {}),
            **(self.retention.arguments() if self.retention else {}),
        }


class Uploads(ClientBase):
    """Everything that writes a block blob's content."""

    def upload_blob(
        self,
        container: str,
        blob: str,
        data: Content,
        *,
        overwrite: bool = False,
        label: Label | None = None,
    ) -> Uploaded:
        """Write a blob: up to 100 MB of bytes or text in one request, all else in blocks.

        Nobody sees half a blob, and a blob that came
        into being meanwhile is not overwritten unless ``overwrite`` says so. Raises BlobExistsError,
        BlobChangedError, BlobError.
        """
        if isinstance(data, str):
            data = data.encode()
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) > SINGLE_PUT_BYTES:
            return self.upload_blob_staged(container, blob, data, overwrite=overwrite, label=label)
        content = bytes(data)
        client, sha256, mark = (
            self._blob(container, blob),
            hashlib.sha256(content).hexdigest(),
            self._write_token(),
        )
        terms = label or Label()
        arguments = terms.arguments(sha256, mark) | conditions(if_match=terms.if_match, overwrite=overwrite)

        def put(attempt: Attempt) -> Mapping[str, Any]:
            attempt.sent = len(content)
            return client.upload_blob(
                content,
                length=len(content),
                validate_content=True,
                overwrite=overwrite or terms.if_match is not None,
                raw_response_hook=attempt.note,
                **arguments,
            )

        answer = self._caller.call(
            "upload_blob",
            self._target(container, blob),
            put,
            request={"size": len(content), "overwrite": overwrite, **_given(if_match=terms.if_match)},
            settle=partial(self._settle_write, container, blob, mark),
        )
        return Uploaded(
            container, blob, len(content), sha256, quoted(answer.get("etag")), answer.get("version_id") or ""
        )

    def upload_blob_staged(
        self,
        container: str,
        blob: str,
        data: Content,
        block_size: int = DEFAULT_BLOCK_BYTES,
        *,
        overwrite: bool = True,
        label: Label | None = None,
    ) -> Uploaded:
        """Write a blob in blocks of ``block_size`` bytes; after a crash the same call goes on where it was.

        Blocks that are staged already (of the same place, size and content) are not sent again. All becomes
        visible in one step at the end. Some blocks at a time are held in memory. Each block is checked by
        MD5 in transit; ``sha256`` of the whole goes into the metadata. Raises what `upload_blob` raises.
        """
        size = known_size(data)
        block_size = block_size_for(size, block_size)
        there = self.staged_blocks(container, blob)
        stager = _Stager(self, container, blob, there)
        whole, total = hashlib.sha256(), 0
        with ThreadPoolExecutor(self.concurrency, "blob-upload") as pool:
            waiting: deque[Future[str]] = deque()
            ids: list[str] = []
            try:
                for index, piece in enumerate(cut(data, block_size)):
                    waiting.append(pool.submit(stager.stage, index, piece))
                    whole.update(piece)
                    total += len(piece)
                    while len(waiting) > self.concurrency:
                        ids.append(waiting.popleft().result())
                ids += [future.result() for future in waiting]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        answer = self.commit_blocks(
            container,
            blob,
            ids,
            sha256=whole.hexdigest(),
            overwrite=overwrite,
            label=label,
        )
        return Uploaded(
            container,
            blob,
            total,
            whole.hexdigest(),
            answer.etag,
            answer.version_id,
            stager.staged,
            stager.reused,
        )

    def staged_blocks(self, container: str, blob: str) -> dict[str, int]:
        """Id → size of the blocks that are staged and not committed; empty if there are none.

        The service drops them after a week, and when anybody commits or overwrites the blob.
        """
        return self._block_list(container, blob)[1]

    def committed_blocks(self, container: str, blob: str) -> dict[str, int]:
        """Id → size of the blocks of the blob as it is; empty if it was written in one request."""
        return self._block_list(container, blob)[0]

    def stage_block(self, container: str, blob: str, block: str, data: bytes | memoryview) -> None:
        """Send one block; it is not visible before it is committed. Raises BlobError."""
        client, content = self._blob(container, blob), bytes(data)

        def send(attempt: Attempt) -> None:
            attempt.sent = len(content)
            client.stage_block(
                block, content, len(content), validate_content=True, raw_response_hook=attempt.note
            )

        self._call("stage_block", container, blob, send, block=block, size=len(content))

    def commit_blocks(
        self,
        container: str,
        blob: str,
        ids: list[str],
        *,
        sha256: str,
        overwrite: bool = True,
        label: Label | None = None,
    ) -> Uploaded:
        """Make these blocks, in this order, the content, in one step. Raises what `upload_blob` raises."""
        client, mark = self._blob(container, blob), self._write_token()
        terms = label or Label()
        arguments = terms.arguments(sha256, mark) | conditions(if_match=terms.if_match, overwrite=overwrite)

        def commit(attempt: Attempt) -> Mapping[str, Any]:
            blocks = [BlobBlock(one) for one in ids]
            return client.commit_block_list(blocks, raw_response_hook=attempt.note, **arguments)

        answer = self._caller.call(
            "commit_block_list",
            self._target(container, blob),
            commit,
            request={"blocks": len(ids), "overwrite": overwrite, **_given(if_match=terms.if_match)},
            settle=partial(self._settle_write, container, blob, mark),
        )
        return Uploaded(
            container, blob, 0, sha256, quoted(answer.get("etag")), answer.get("version_id") or ""
        )

    def discard_uncommitted(self, container: str, blob: str) -> int:
        """Drop staged blocks that another writer left behind; returns how many there were.

        Of a blob that is there the content stays, with its metadata. One that was never committed is
        made, empty, and deleted.
        """
        committed, staged = self._block_list(container, blob)
        if not staged:
            return 0
        client = self._blob(container, blob)

        def drop(attempt: Attempt) -> None:
            if committed:
                known = client.get_blob_properties()
                client.commit_block_list(
                    [BlobBlock(one) for one in committed],
                    content_settings=known.content_settings,
                    metadata=known.metadata,
                    raw_response_hook=attempt.note,
                    **conditions(if_match=quoted(known.etag)),
                )
            else:
                client.commit_block_list([], raw_response_hook=attempt.note, **conditions(overwrite=False))
                client.delete_blob()

        self._call("discard_uncommitted", container, blob, drop, blocks=len(staged))
        return len(staged)

    def _block_list(self, container: str, blob: str) -> tuple[dict[str, int], dict[str, int]]:
        client = self._blob(container, blob)

        def ask(attempt: Attempt) -> tuple[dict[str, int], dict[str, int]]:
            try:
                committed, staged = client.get_block_list("all", raw_response_hook=attempt.note)
            except ResourceNotFoundError as error:
                if is_missing_container(error):
                    raise
                return {}, {}
            return {one.id: one.size for one in committed}, {one.id: one.size for one in staged}

        return self._call("get_block_list", container, blob, ask)

    def _settle_write(self, container: str, blob: str, mark: str, error: BlobError) -> Mapping[str, Any]:
        """Whether the blob that is in the way is the one that we wrote without hearing of it."""
        if error.reason not in ("blob_exists", "changed"):
            raise error
        found = self._look(container, blob)
        if found.metadata.get(WRITE_KEY) != mark:
            raise error
        return {"etag": found.etag, "version_id": found.version_id}


class _Stager:
    """Stages the blocks of one blob that are not there yet; safe to use from several threads."""

    def __init__(self, client: Uploads, container: str, blob: str, there: Mapping[str, int]) -> None:
        self._client = client
        self._place = (container, blob)
        self._there = there
        self._counts: deque[bool] = deque()
        strange = [one for one in there if len(one) != BLOCK_ID_CHARS]
        if strange:
            target = client._target(container, blob)
            raise BlobError(
                "upload_blob_staged", target, "invalid_block", "blocks of another writer are staged"
            )

    @property
    def staged(self) -> int:
        return sum(self._counts)

    @property
    def reused(self) -> int:
        return len(self._counts) - self.staged

    def stage(self, index: int, data: bytes | memoryview) -> str:
        name = block_id(index, data)
        new = self._there.get(name) != len(data)
        if new:
            self._client.stage_block(*self._place, name, data)
        self._counts.append(new)
        return name


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
