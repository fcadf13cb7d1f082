"""Whole small blobs through obstore (extra ``smallblobs``): a tenth of the client library's CPU time.

What obstore can't do, or does not succeed with, the library does: nothing fails here that would not
fail there.
"""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from elspeth.providers.azure_blob.base import MIB, conditions
from elspeth.providers.azure_blob.calls import Attempt
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.info import BlobInfo

MOST_BYTES = MIB
_SCOPE = "https://storage.azure.com/.default"
# obstore would spell other names its own way.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]*(?:/[A-Za-z0-9_=-][A-Za-z0-9_.=-]*)*")
_PATIENCE = 3


class QuickReader:
    """Reads blobs of at most `MOST_BYTES`; safe to use from several threads.

    Every read is told like any other call of the client, but without the service's request id,
    which obstore does not give. After some failures in a row it leaves all blobs to the library.
    """

    def __init__(self, client: AzureBlobClient, obstore: Any, settings: dict[str, Any]) -> None:
        self._client = client
        self._obstore = obstore
        self._settings = settings
        self._stores: dict[str, Any] = {}
        self._failed = 0

    @classmethod
    def of(cls, client: AzureBlobClient) -> "QuickReader | None":
        """A reader for the client's account; None if obstore is not installed or can't have its login."""
        settings = _settings(client)
        if settings is None:
            return None
        try:
            import obstore.store  # noqa: PLC0415 - optional extra
        except ModuleNotFoundError:
            return None
        return cls(client, obstore, settings)

    def takes(self, info: BlobInfo) -> bool:
        """Whether it can read this blob, and should."""
        return (
            0 < info.size <= MOST_BYTES
            and self._failed < _PATIENCE
            and not (info.snapshot or info.version_id)
            and _PLAIN_NAME.fullmatch(info.name) is not None
        )

    def read(self, info: BlobInfo) -> tuple[bytes, str]:
        """The content of the blob as it was listed, and its version's id where versions are kept.

        Raises what `AzureBlobClient.download_blob` raises.
        """
        obstore = self._obstore
        of_this_blob = (obstore.exceptions.NotFoundError, obstore.exceptions.PreconditionError)

        def read(attempt: Attempt) -> tuple[bytes, str]:
            if self._failed >= _PATIENCE:
                return self._by_library(info, attempt)
            try:
                result = obstore.get(self._store(info.container), info.name, options={"if_match": info.etag})
                data = bytes(result.bytes())
            except obstore.exceptions.BaseError as error:
                # The library finds out, and tells, what it was.
                attempt.failed_before += 1
                self._failed += not isinstance(error, of_this_blob)
                return self._by_library(info, attempt)
            self._failed = 0
            attempt.status, attempt.etag, attempt.received = 200, result.meta["e_tag"] or "", len(data)
            attempt.version_id = result.meta["version"] or ""
            return data, attempt.version_id

        request = {"offset": 0, "length": info.size, "if_match": info.etag, "through": "obstore"}
        return self._client._call("download_blob", info.container, info.name, read, **request)

    def _by_library(self, info: BlobInfo, attempt: Attempt) -> tuple[bytes, str]:
        blob = self._client._blob(info.container, info.name)
        stream = blob.download_blob(
            max_concurrency=1, raw_response_hook=attempt.note, **conditions(if_match=info.etag)
        )
        data: bytes = stream.readall()
        attempt.received = len(data)
        return data, attempt.version_id

    def _store(self, container: str) -> Any:
        found = self._stores.get(container)
        if found is None:
            found = self._stores[container] = self._obstore.store.AzureStore(container, **self._settings)
        return found


def _settings(client: AzureBlobClient) -> dict[str, Any] | None:
    """The client's account and login in obstore's words; None where there are none for it."""
    known: dict[str, Any] = {
        "account_name": client.account_name,
        "endpoint": client.url,
        "use_emulator": False,
        "client_options": {"allow_http": client.url.startswith("http://"), "timeout": "60s"},
        "retry_config": {"max_retries": 0},  # every attempt is on record
    }
    credential = client._service.credential
    if key := client._account_key():
        return {**known, "account_key": key, "credential_type": "access_key"}
    if sas := urlsplit(client._service.url).query:
        return {**known, "sas_key": sas, "credential_type": "sas_token"}
    if hasattr(credential, "get_token"):
        return {**known, "credential_provider": lambda: _token(credential)}
    return None


def _token(credential: Any) -> dict[str, Any]:
    found = credential.get_token(_SCOPE)
    return {"token": found.token, "expires_at": datetime.fromtimestamp(found.expires_on, UTC)}
