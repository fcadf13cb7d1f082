"""Containers, and the blobs in them."""

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from azure.core.pipeline.policies import ContentDecodePolicy
from azure.storage.blob import AccessPolicy, ContainerSasPermissions

from elspeth.providers.azure_blob.base import ClientBase
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.errors import BlobError
from elspeth.providers.azure_blob.info import BlobInfo, BlobState
from elspeth.providers.azure_blob.listed import listed, next_marker

_PAGE = 5_000


class Listing(ClientBase):
    """What there is."""

    def list_blobs(
        self,
        container: str,
        prefix: str | None = None,
        *,
        include: tuple[str, ...] = (),
        page_size: int = _PAGE,
    ) -> Iterator[BlobInfo]:
        """All blobs of a container in the order of their names, page by page as they are taken.

        ``include`` may name ``metadata``, ``tags``, ``snapshots``, ``versions``, ``deleted``,
        ``uncommittedblobs``, ``copy``. Raises BlobError.
        """
        for page in self._pages("list_blobs", container, prefix, page_size, include):
            yield from listed(container, page)

    def list_blob_names(
        self, container: str, prefix: str | None = None, *, page_size: int = _PAGE
    ) -> Iterator[str]:
        """Only the names. Raises BlobError."""
        for page in self._pages("list_blob_names", container, prefix, page_size):
            for info in listed(container, page):
                yield info.name

    def blob_state(self, container: str, blob: str) -> BlobState:
        """Where a blob is in its life, soft-deleted and uncommitted ones included. Raises BlobError."""
        if (there := self.find_blob(container, blob)) is not None:
            return there.state
        for found in self.list_blobs(container, blob, include=("deleted", "uncommittedblobs")):
            if found.name == blob:
                return BlobState.DELETED if found.deleted else BlobState.PENDING
            break  # the first in order is the blob itself, if it is there
        return BlobState.DESTROYED

    def _pages(
        self,
        operation: str,
        container: str,
        prefix: str | None,
        page_size: int,
        include: tuple[str, ...] = (),
    ) -> Iterator[Element]:
        """The pages as XML, each asked for again from where it began if it fails."""
        client = self._container(container)
        more: dict[str, Any] = {"include": list(include)} if include else {}
        marker: str | None = None
        number = 0

        def ask(attempt: Attempt) -> Element:
            seen: list[Any] = []

            def note(response: Any) -> None:
                attempt.note(response)
                seen.append(response)

            # The names only, because the library would make an object with fifty fields of each blob.
            asked = client.list_blob_names(
                name_starts_with=prefix, results_per_page=page_size, raw_response_hook=note, **more
            )
            next(asked.by_page(marker), None)
            page: Element = seen[-1].context[ContentDecodePolicy.CONTEXT_NAME]
            return page

        while True:
            page = self._call(operation, container, "", ask, prefix=prefix, page=number)
            yield page
            marker, number = next_marker(page), number + 1
            if marker is None:
                return

    def list_containers(self, prefix: str | None = None) -> list[str]:
        """The names of the account's containers. Raises BlobError."""

        def ask(attempt: Attempt) -> list[str]:
            found = self._service.list_containers(name_starts_with=prefix, raw_response_hook=attempt.note)
            return [item.name for item in found]

        return self._call("list_containers", "", "", ask, prefix=prefix)

    def create_container(self, container: str, *, exist_ok: bool = True) -> None:
        """Make a container, private. Raises BlobError."""
        client = self._container(container)

        def make(attempt: Attempt) -> None:
            if not (exist_ok and client.exists(raw_response_hook=attempt.note)):
                client.create_container(raw_response_hook=attempt.note)

        def settle(error: BlobError) -> None:
            if error.reason != "container_exists":
                raise error

        try:
            self._caller.call("create_container", self._target(container), make, settle=settle)
        except BlobError as error:
            if not (exist_ok and error.reason == "container_exists"):
                raise

    def delete_container(self, container: str) -> None:
        """Delete a container with all that is in it. Raises BlobError."""
        client = self._container(container)

        def delete(attempt: Attempt) -> None:
            client.delete_container(raw_response_hook=attempt.note)

        def settle(error: BlobError) -> None:
            if error.reason != "container_not_found":
                raise error

        self._caller.call("delete_container", self._target(container), delete, settle=settle)

    def set_access_policy(self, container: str, policies: Mapping[str, str]) -> None:
        """Stored access policies: name → permissions such as ``rl``, for SAS to refer to."""
        client = self._container(container)
        named = {
            name: AccessPolicy(permission=ContainerSasPermissions.from_string(permission))
            for name, permission in policies.items()
        }

        def put(attempt: Attempt) -> None:
            client.set_container_access_policy(named, raw_response_hook=attempt.note)

        self._call("set_container_access_policy", container, "", put, policies=dict(policies))

    def get_access_policy(self, container: str) -> dict[str, str]:
        """The stored access policies: name → permissions. Raises BlobError."""
        client = self._container(container)

        def ask(attempt: Attempt) -> dict[str, str]:
            found = client.get_container_access_policy(raw_response_hook=attempt.note)
            return {item.id: str(item.access_policy.permission) for item in found["signed_identifiers"]}

        return self._call("get_container_access_policy", container, "", ask)
