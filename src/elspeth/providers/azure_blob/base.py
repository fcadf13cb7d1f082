"""What every part of the client stands on: the account, the caller, and conditions."""

import itertools
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient, StorageErrorCode

from elspeth.contracts.errors import UsageError
from elspeth.providers.azure_blob.calls import Attempt, BlobCall, Caller, Retrying, Throttle, Unthrottled
from elspeth.providers.azure_blob.credentials import CredentialFactory
from elspeth.providers.azure_blob.errors import Target
from elspeth.providers.azure_blob.health import Health, OperationHealth
from elspeth.providers.azure_blob.info import BlobInfo, info_of

T = TypeVar("T")
Observer = Callable[[BlobCall], None]
MIB = 1024 * 1024
SINGLE_PUT_BYTES = 100 * MIB
SINGLE_GET_BYTES = 32 * MIB
# Bytes that leave the socket at a time: with the library's 4 KiB a download costs four times the CPU.
_SOCKET_BYTES = MIB


@dataclass(frozen=True, slots=True)
class Pace:
    """How calls are made: tried again how often and how soon, when a governor lets them, how many at once."""

    retrying: Retrying = field(default_factory=Retrying)
    throttle: Throttle = field(default_factory=Unthrottled)
    concurrency: int = 4


class Snapshot(str):
    """The name of a snapshot; what is no snapshot's name is a version's id."""

    __slots__ = ()


class ClientBase:
    """An account that is open."""

    def __init__(
        self,
        service: BlobServiceClient,
        *,
        pace: "Pace | None" = None,
        on_call: Observer | None = None,
    ) -> None:
        pace = pace or Pace()
        self._service = service
        self._on_call = on_call
        self._health = Health()
        self._numbers = itertools.count()
        self.account_name: str = service.account_name or ""
        self.concurrency = pace.concurrency
        self._caller = Caller(self.account_name, pace.retrying, pace.throttle, self._observe)

    @property
    def url(self) -> str:
        """Where the account is, without any signature."""
        parts = urlsplit(self._service.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")

    def health(self) -> dict[str, OperationHealth]:
        """Counters and latencies by operation since the client was made."""
        return self._health.snapshot()

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _observe(self, call: BlobCall) -> None:
        self._health.note(call)
        if self._on_call is not None:
            self._on_call(call)

    def _target(self, container: str = "", blob: str = "") -> Target:
        return Target(self.account_name, container, blob)

    def _blob(self, container: str, blob: str, version: str | None = None) -> BlobClient:
        if isinstance(version, Snapshot):
            return self._service.get_blob_client(container, blob, snapshot=str(version))
        return self._service.get_blob_client(container, blob, version_id=version)

    def _container(self, container: str) -> ContainerClient:
        return self._service.get_container_client(container)

    def _call(
        self, operation: str, container: str, blob: str, do: Callable[[Attempt], T], **request: Any
    ) -> T:
        known = {name: value for name, value in request.items() if value is not None}
        return self._caller.call(operation, self._target(container, blob), do, request=known)

    def _look(self, container: str, blob: str, version: str | None = None) -> BlobInfo:
        """The properties of a blob."""
        client = self._blob(container, blob, version)

        def ask(attempt: Attempt) -> BlobInfo:
            return info_of(container, client.get_blob_properties(raw_response_hook=attempt.note))

        return self._call("get_blob_properties", container, blob, ask)

    def find_blob(self, container: str, blob: str) -> BlobInfo | None:
        """What is known of a blob; None if there is none, which is an answer, not an error.

        Raises BlobError, also if the container is not there.
        """
        client = self._blob(container, blob)

        def ask(attempt: Attempt) -> BlobInfo | None:
            try:
                return info_of(container, client.get_blob_properties(raw_response_hook=attempt.note))
            except ResourceNotFoundError as error:
                if is_missing_container(error):
                    raise
                return None

        return self._call("get_blob_properties", container, blob, ask)

    def _write_token(self) -> str:
        """A mark by which a write whose answer was lost is known again as ours."""
        return f"{os.getpid():x}-{next(self._numbers):x}-{uuid.uuid4().hex}"


def is_missing_container(error: ResourceNotFoundError) -> bool:
    """Whether not only the blob is not there."""
    return getattr(error, "error_code", "") == StorageErrorCode.CONTAINER_NOT_FOUND


def conditions(*, if_match: str | None = None, overwrite: bool = True) -> dict[str, Any]:
    """The library's arguments for a conditional write. ``if_match`` is an ETag."""
    if if_match:
        return {"etag": if_match, "match_condition": MatchConditions.IfNotModified}
    # Without an etag: with one, the library would ask for something else than "there is none".
    return {} if overwrite else {"match_condition": MatchConditions.IfMissing}


def open_service(
    credential_factory: CredentialFactory | Any | None,
    account_name: str | None,
    account_url: str | None,
    connection_string: str | None,
    **transport: Any,
) -> BlobServiceClient:
    """Connect nothing yet: the first call does. Raises UsageError for an account that is not named."""
    settings: dict[str, Any] = {
        "retry_total": 0,
        "connection_data_block_size": _SOCKET_BYTES,
        "max_single_put_size": SINGLE_PUT_BYTES,
        "max_single_get_size": SINGLE_GET_BYTES,
        "max_chunk_get_size": SINGLE_GET_BYTES,
        **_environment(),
        **transport,
    }
    credential = _credential(credential_factory)
    if isinstance(credential, str) and "AccountName=" in credential:
        connection_string, credential = credential, None
    try:
        if connection_string:
            return BlobServiceClient.from_connection_string(
                connection_string, credential=credential, **settings
            )
        if not (account_url or account_name):
            raise UsageError("Azure Blob Storage: account_name, account_url or connection_string is missing")
        url = account_url or f"https://{account_name}.blob.core.windows.net"
        # The library does not tell a key without its account: an emulator's URL has the account in its path.
        if isinstance(credential, str) and account_name and "sig=" not in credential:
            credential = {"account_name": account_name, "account_key": credential}
        return BlobServiceClient(url, credential=credential, **settings)
    except ValueError as error:
        # Never the text that was given: it is a secret.
        raise UsageError(
            f"Azure Blob Storage: account or credential can't be understood ({type(error).__name__})",
            fix="check the connection string, account_name, account_url and key",
        ) from None


def _environment() -> dict[str, Any]:
    """Proxies and certificates that variables set, looked up once: for each call it takes a tenth of it."""
    if getproxies():
        return {}  # which hosts they are for only the library knows
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return {"use_env_settings": False, **({"connection_verify": bundle} if bundle else {})}


def _credential(factory: CredentialFactory | Any | None) -> Any:
    if factory is None:
        return None
    if callable(factory) and not hasattr(factory, "get_token"):
        return factory()
    for name in ("get_credential", "create_credential", "credential"):
        if callable(getattr(factory, name, None)):
            return getattr(factory, name)()
    return factory
