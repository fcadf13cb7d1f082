"""Copying inside the service."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from elspeth.providers.azure_blob.attributes import Attributes
from elspeth.providers.azure_blob.base import conditions
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.errors import BlobError
from elspeth.providers.azure_blob.info import BlobInfo, info_of

_FIRST_POLL_S = 0.2
_LAST_POLL_S = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a copy that takes its time; at the end of it the copy is aborted."""

    seconds: float = 3600.0


class Copies(Attributes):
    """Copies made by the service: no content passes through here."""

    def copy_blob(
        self,
        src_container: str,
        src_blob: str,
        dst_container: str,
        dst_blob: str,
        *,
        overwrite: bool = True,
        patience: Patience | None = None,
    ) -> BlobInfo:
        """Copy inside the account, and wait until it is done; returns the copy's properties.

        Raises BlobNotFoundError, BlobExistsError, BlobError (also when the service gave the copy up).
        """
        request_id = self.start_copy(src_container, src_blob, dst_container, dst_blob, overwrite=overwrite)
        client = self._blob(dst_container, dst_blob)
        deadline = time.monotonic() + (patience or Patience()).seconds
        delay = _FIRST_POLL_S
        while True:
            found = self._call(
                "get_blob_properties",
                dst_container,
                dst_blob,
                lambda attempt: client.get_blob_properties(raw_response_hook=attempt.note),
                copy=request_id,
            )
            status = found.copy.status
            if status != "pending":
                break
            if time.monotonic() > deadline:
                self.abort_copy(dst_container, dst_blob, request_id)
                raise BlobError(
                    "copy_blob", self._target(dst_container, dst_blob), "failed", "it took too long"
                )
            time.sleep(delay)
            delay = min(delay * 2, _LAST_POLL_S)
        if status not in ("success", None):
            what = f"the copy ended as {status}: {found.copy.status_description or 'no reason was given'}"
            raise BlobError("copy_blob", self._target(dst_container, dst_blob), "failed", what)
        return info_of(dst_container, found)

    def start_copy(
        self, src_container: str, src_blob: str, dst_container: str, dst_blob: str, *, overwrite: bool = True
    ) -> str:
        """Start a copy and don't wait; returns its id, for `abort_copy`. Raises BlobError."""
        source, client = self._blob(src_container, src_blob), self._blob(dst_container, dst_blob)

        def start(attempt: Attempt) -> str:
            answer = client.start_copy_from_url(
                source.url, raw_response_hook=attempt.note, **conditions(overwrite=overwrite)
            )
            return str(answer.get("copy_id") or "")

        def settle(error: BlobError) -> str:
            """A copy of this very source is the one that was started without an answer."""
            found = self._copy_of(dst_container, dst_blob) if error.reason == "blob_exists" else None
            if found is None or unquote(urlsplit(found.source or "").path) != unquote(
                urlsplit(source.url).path
            ):
                raise error
            return str(found.id)

        return self._caller.call(
            "copy_blob",
            self._target(dst_container, dst_blob),
            start,
            request={"source": f"{src_container}/{src_blob}", "overwrite": overwrite},
            settle=settle,
        )

    def _copy_of(self, container: str, blob: str) -> Any:
        """What the service says of the copy that made this blob."""
        client = self._blob(container, blob)
        return self._call(
            "get_blob_properties",
            container,
            blob,
            lambda attempt: client.get_blob_properties(raw_response_hook=attempt.note).copy,
        )

    def abort_copy(self, container: str, blob: str, copy_id: str) -> None:
        """Stop a copy that is under way; what is there already becomes an empty blob. Raises BlobError."""
        client = self._blob(container, blob)

        def abort(attempt: Attempt) -> None:
            client.abort_copy(copy_id, raw_response_hook=attempt.note)

        self._call("abort_copy", container, blob, abort, copy=copy_id)
