"""Blobs for code that is not trusted: just those on a list, by credentials that are good for nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from elspeth.contracts.errors import ElspethError, UsageError
from elspeth.providers.azure_blob.client import AzureBlobClient

SECONDS = 300
_SKEW = timedelta(minutes=5)


class NotGrantedError(ElspethError):
    """Somebody asked for a blob that is not on the list."""


class ScopedBlobs:
    """Reads the blobs named in ``allowed`` (``container/name``, exactly so; no patterns), and no others.

    Each is read with a user delegation SAS for this one blob, which permits reading and ends after
    ``seconds``, not with the client's own credential. An empty list grants nothing. ``reading`` is for the
    clients that read: ``on_call``, and what the client library takes.
    """

    def __init__(
        self, client: AzureBlobClient, allowed: Sequence[str], *, seconds: int = SECONDS, **reading: Any
    ) -> None:
        wrong = [name for name in allowed if not all(name.partition("/")[::2])]
        if wrong:
            raise UsageError(f"{wrong[0]!r} names no blob", fix="write container/name, as it is")
        self._client = client
        self._allowed = frozenset(allowed)
        self._seconds = seconds
        self._reading = reading

    def signature(self, name: str) -> str:
        """A signature that permits reading this blob, and nothing else, for a short while. Keep it secret.

        Raises NotGrantedError, UsageError for a client that has no identity to delegate from, BlobError.
        """
        if name not in self._allowed:
            raise NotGrantedError(f"{name!r} is not on the list of what is granted")
        container, _, blob = name.partition("/")
        now = datetime.now(UTC)
        expiry = now + timedelta(seconds=self._seconds)
        return generate_blob_sas(
            account_name=self._client.account_name,
            container_name=container,
            blob_name=blob,
            user_delegation_key=self._client.delegation_key(expiry),
            permission=BlobSasPermissions(read=True),
            expiry=expiry,
            start=now - _SKEW,
            protocol="https",
        )

    def read(self, name: str) -> bytes:
        """The blob's content. Raises as `signature`."""
        container, _, blob = name.partition("/")
        signature = self.signature(name)
        account, url = self._client.account_name, self._client.url
        with AzureBlobClient(lambda: signature, account, account_url=url, **self._reading) as reader:
            return reader.download_blob(container, blob)
