"""Properties, metadata, tags, tiers, state, snapshots, deletion."""

from collections.abc import Mapping

from azure.storage.blob import RehydratePriority

from elspeth.providers.azure_blob.base import ClientBase, Snapshot, conditions
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.errors import BlobError, BlobExistsError
from elspeth.providers.azure_blob.info import BlobInfo, quoted


class Attributes(ClientBase):
    """Everything about a blob but its content."""

    def get_blob_properties(self, container: str, blob: str, *, version: str | None = None) -> BlobInfo:
        """What is known of a blob. Raises BlobNotFoundError, BlobError."""
        return self._look(container, blob, version)

    def exists(self, container: str, blob: str) -> bool:
        """Whether there is such a blob. Raises BlobError if that can't be told."""
        return self.find_blob(container, blob) is not None

    def require_absent(self, container: str, blob: str) -> None:
        """Raises BlobExistsError if there is such a blob, and BlobError if that can't be told."""
        client = self._blob(container, blob)

        def ask(attempt: Attempt) -> None:
            if client.exists(raw_response_hook=attempt.note):
                target = self._target(container, blob)
                raise BlobExistsError("require_absent", target, "blob_exists", "blob exists")

        self._call("require_absent", container, blob, ask, overwrite=False)

    def set_metadata(
        self, container: str, blob: str, metadata: Mapping[str, str], *, if_match: str | None = None
    ) -> str:
        """Replace all metadata; returns the new ETag. Raises BlobChangedError, BlobError."""
        client = self._blob(container, blob)

        def put(attempt: Attempt) -> str:
            answer = client.set_blob_metadata(
                dict(metadata), raw_response_hook=attempt.note, **conditions(if_match=if_match)
            )
            return quoted(str(answer.get("etag") or ""))

        def settle(error: BlobError) -> str:
            found = self._look(container, blob)
            if error.reason != "changed" or found.metadata != dict(metadata):
                raise error
            return found.etag

        request = {"keys": sorted(metadata), **({"if_match": if_match} if if_match else {})}
        return self._caller.call(
            "set_blob_metadata", self._target(container, blob), put, request=request, settle=settle
        )

    def set_tags(self, container: str, blob: str, tags: Mapping[str, str]) -> None:
        """Replace all index tags (at most ten). Raises BlobError."""
        client = self._blob(container, blob)

        def put(attempt: Attempt) -> None:
            client.set_blob_tags(dict(tags), raw_response_hook=attempt.note)

        self._call("set_blob_tags", container, blob, put, tags=dict(tags))

    def get_tags(self, container: str, blob: str) -> dict[str, str]:
        """The index tags. Raises BlobError."""
        client = self._blob(container, blob)

        def ask(attempt: Attempt) -> dict[str, str]:
            return dict(client.get_blob_tags(raw_response_hook=attempt.note) or {})

        return self._call("get_blob_tags", container, blob, ask)

    def set_tier(self, container: str, blob: str, tier: str, *, urgent: bool = False) -> None:
        """Move a blob to Hot, Cool, Cold or Archive. Out of Archive takes hours: see `blob_state`.

        ``urgent`` rehydrates with high priority. Raises BlobError.
        """
        client = self._blob(container, blob)
        priority = RehydratePriority.HIGH if urgent else None

        def put(attempt: Attempt) -> None:
            client.set_standard_blob_tier(tier, rehydrate_priority=priority, raw_response_hook=attempt.note)

        self._call("set_blob_tier", container, blob, put, tier=tier, urgent=urgent)

    def rehydrate(self, container: str, blob: str, *, tier: str = "Hot", urgent: bool = False) -> None:
        """Bring an archived blob back online: `blob_state` is ``pending`` for hours, then ``available``."""
        self.set_tier(container, blob, tier, urgent=urgent)

    def create_snapshot(self, container: str, blob: str) -> Snapshot:
        """Keep the blob as it is now; returns the snapshot's name, for ``version=``. Raises BlobError."""
        client = self._blob(container, blob)

        def make(attempt: Attempt) -> Snapshot:
            return Snapshot(client.create_snapshot(raw_response_hook=attempt.note)["snapshot"])

        return self._call("snapshot_blob", container, blob, make)

    def delete_blob(
        self,
        container: str,
        blob: str,
        *,
        if_match: str | None = None,
        snapshots: bool = True,
        version: str | None = None,
    ) -> None:
        """Delete a blob, with its snapshots unless told otherwise. Soft delete keeps it for a while.

        Raises BlobNotFoundError, BlobChangedError, BlobError.
        """
        client = self._blob(container, blob, version)
        with_snapshots = "include" if snapshots and version is None else None

        def delete(attempt: Attempt) -> None:
            client.delete_blob(
                delete_snapshots=with_snapshots,
                raw_response_hook=attempt.note,
                **conditions(if_match=if_match),
            )

        def settle(error: BlobError) -> None:
            if error.reason != "not_found":
                raise error

        request = {"if_match": if_match} if if_match else {}
        self._caller.call(
            "delete_blob", self._target(container, blob), delete, request=request, settle=settle
        )

    def undelete_blob(self, container: str, blob: str) -> None:
        """Bring a soft-deleted blob back. Raises BlobError."""
        client = self._blob(container, blob)

        def undelete(attempt: Attempt) -> None:
            client.undelete_blob(raw_response_hook=attempt.note)

        self._call("undelete_blob", container, blob, undelete)
