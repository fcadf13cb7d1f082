"""Append blobs and leases."""

import uuid

from azure.storage.blob import BlobLeaseClient

from elspeth.providers.azure_blob.base import ClientBase, conditions
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.errors import BlobError
from elspeth.providers.azure_blob.info import quoted


class Appends(ClientBase):
    """Blobs that grow at the end, and the right to be the only one who writes."""

    def create_append_blob(self, container: str, blob: str, *, overwrite: bool = False) -> str:
        """Make an empty append blob; returns its ETag. Raises BlobExistsError, BlobError."""
        client = self._blob(container, blob)

        def make(attempt: Attempt) -> str:
            answer = client.create_append_blob(
                raw_response_hook=attempt.note, **conditions(overwrite=overwrite)
            )
            return quoted(str(answer.get("etag") or ""))

        return self._call("create_append_blob", container, blob, make, overwrite=overwrite)

    def append_block(self, container: str, blob: str, data: bytes, *, at: int) -> int:
        """Append bytes (at most 100 MiB) where the blob is ``at`` bytes long; returns its new length.

        With ``at`` a repeated attempt can't append twice: one whose answer was lost is recognised by what
        stands there. Raises BlobChangedError if the blob has another length, and BlobError.
        """
        client = self._blob(container, blob)

        def append(attempt: Attempt) -> int:
            attempt.sent = len(data)
            client.append_block(
                data,
                length=len(data),
                appendpos_condition=at,
                validate_content=True,
                raw_response_hook=attempt.note,
            )
            return at + len(data)

        def there() -> bytes:
            found: bytes = self._call(
                "download_blob",
                container,
                blob,
                lambda attempt: client.download_blob(at, len(data), raw_response_hook=attempt.note).readall(),
                offset=at,
            )
            return found

        def settle(error: BlobError) -> int:
            if error.reason != "changed" or there() != data:
                raise error
            return at + len(data)

        return self._caller.call(
            "append_block",
            self._target(container, blob),
            append,
            request={"at": at, "size": len(data)},
            settle=settle,
        )

    def acquire_lease(self, container: str, blob: str, *, seconds: int = -1) -> str:
        """Lock a blob (or, with an empty name, a container) for 15 to 60 seconds, or -1: until released.

        Returns the lease's id. Raises BlobError with reason ``leased`` if somebody else has it.
        """
        lease = self._lease(container, blob, str(uuid.uuid4()))

        def acquire(attempt: Attempt) -> str:
            # The id is ours: asked again with the same id, the service grants the same lease.
            lease.acquire(lease_duration=seconds, raw_response_hook=attempt.note)
            return str(lease.id)

        return self._call("acquire_lease", container, blob, acquire, seconds=seconds)

    def renew_lease(self, container: str, blob: str, lease_id: str) -> None:
        """Start the lease's time again. Raises BlobError if it is lost."""
        lease = self._lease(container, blob, lease_id)
        self._call(
            "renew_lease", container, blob, lambda attempt: lease.renew(raw_response_hook=attempt.note)
        )

    def release_lease(self, container: str, blob: str, lease_id: str) -> None:
        """Give the lease back. Raises BlobError if it is another's."""
        lease = self._lease(container, blob, lease_id)
        self._call(
            "release_lease", container, blob, lambda attempt: lease.release(raw_response_hook=attempt.note)
        )

    def break_lease(self, container: str, blob: str) -> None:
        """End anybody's lease at once. Raises BlobError."""
        lease = self._lease(container, blob, None)

        def end(attempt: Attempt) -> None:
            lease.break_lease(lease_break_period=0, raw_response_hook=attempt.note)

        self._call("break_lease", container, blob, end)

    def _lease(self, container: str, blob: str, lease_id: str | None) -> BlobLeaseClient:
        client = self._blob(container, blob) if blob else self._container(container)
        return BlobLeaseClient(client, lease_id)
