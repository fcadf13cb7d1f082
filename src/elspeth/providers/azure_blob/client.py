"""The client: one object for one account."""

from typing import Any

from elspeth.providers.azure_blob.appends import Appends
from elspeth.providers.azure_blob.base import Observer, Pace, open_service
from elspeth.providers.azure_blob.copies import Copies
from elspeth.providers.azure_blob.credentials import BlobLogin, CredentialFactory
from elspeth.providers.azure_blob.downloads import Downloads
from elspeth.providers.azure_blob.errors import BlobChangedError, BlobNotFoundError
from elspeth.providers.azure_blob.listing import Listing
from elspeth.providers.azure_blob.queries import Queries
from elspeth.providers.azure_blob.retention import Retentions
from elspeth.providers.azure_blob.sas import Signatures
from elspeth.providers.azure_blob.uploads import Label, Uploads


class AzureBlobClient(Uploads, Downloads, Copies, Listing, Appends, Signatures, Queries, Retentions):
    """Azure Blob Storage, by plain methods. Safe to use from several threads; nothing connects before a call.

    What can be tried again is tried again (with back-off and Retry-After), also where the answer of a write
    was lost: no write happens twice. What fails for good is a `BlobError`, which holds no secret. ``on_call``
    is told of every operation (from the thread that made it), ``health()`` counts them.

    The trap: `upload_blob` does not overwrite unless asked to; `upload_blob_staged`, which goes on
    where an earlier upload was cut off, does.
    """

    def __init__(
        self,
        credential_factory: CredentialFactory | Any | None = None,
        account_name: str | None = None,
        *,
        account_url: str | None = None,
        connection_string: str | None = None,
        on_call: Observer | None = None,
        pace: Pace | None = None,
        **transport: Any,
    ) -> None:
        """``credential_factory()`` gives a key, a SAS, a connection string or a token credential.

        ``account_url`` is for other clouds and emulators, ``transport`` for the client library
        (``connection_verify=``, ``proxies=`` …). Raises UsageError.
        """
        service = open_service(credential_factory, account_name, account_url, connection_string, **transport)
        super().__init__(service, pace=pace, on_call=on_call)

    @classmethod
    def from_login(cls, login: BlobLogin, **more: Any) -> "AzureBlobClient":
        """The client for exactly one way of logging in. Raises UsageError for none or several."""
        login.check()
        return cls(
            login.credential,
            login.account_name,
            account_url=login.account_url,
            connection_string=login.connection_string,
            **more,
        )

    def may_read(self, container: str) -> None:
        """Raises BlobError if this identity may not list the container."""
        next(self.list_blobs(container, page_size=1), None)

    def may_write(self, container: str) -> None:
        """Raises BlobError if this identity may not write there. The attempt is one that can't succeed."""
        try:
            self.upload_blob(container, ".elspeth-probe", b"", label=Label(if_match='"0x0"'))
        except (BlobChangedError, BlobNotFoundError) as error:
            if error.reason == "container_not_found":
                raise

    def __enter__(self) -> "AzureBlobClient":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
