"""What can go wrong with blobs, by what a caller would do about it."""

from dataclasses import dataclass

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
)

from elspeth.contracts.errors import ElspethError

_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_REASONS = {
    "BlobAlreadyExists": "blob_exists",
    "UnauthorizedBlobOverwrite": "blob_exists",
    "BlobNotFound": "not_found",
    "ContainerNotFound": "container_not_found",
    "ContainerAlreadyExists": "container_exists",
    "BlobArchived": "archived",
    "BlobBeingRehydrated": "archived",
    "ConditionNotMet": "changed",
    "LeaseAlreadyPresent": "leased",
    "LeaseIdMissing": "leased",
    "BlobImmutableDueToPolicy": "immutable",
    "InvalidBlobOrBlock": "invalid_block",
    "InvalidBlockList": "invalid_block",
    "AuthorizationFailure": "refused",
    "AuthorizationPermissionMismatch": "refused",
    "AuthenticationFailed": "refused",
}
_BY_STATUS = {
    401: "refused",
    403: "refused",
    404: "not_found",
    409: "conflict",
    412: "changed",
    304: "unchanged",
}
_FIXES = {
    "blob_exists": "choose another name, or allow overwriting",
    "container_not_found": "create the container, or correct its name",
    "archived": "rehydrate it first: set its tier to Hot or Cool (hours), or copy it to an online tier",
    "changed": "somebody wrote to it meanwhile: read it again",
    "leased": "wait for the lease to end, or break it",
    "immutable": "its container's immutability policy forbids this; write to another name",
    "invalid_block": "uncommitted blocks of another writer are in the way: discard_uncommitted() drops them",
    "refused": "give this identity the role Storage Blob Data Reader (to read) or Storage Blob Data"
    " Contributor (to write) on the account or container; or check the key, the signature and the firewall",
    "unreadable": "repair the blob, or take the faults of single rows with on_fault",
    "busy": "the account is throttled: lower the concurrency, or try again later",
    "unreachable": "check account name, network, firewall and private endpoint",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What an operation was about. ``blob`` is empty for containers, both are for the account."""

    account: str
    container: str = ""
    blob: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.account, self.container, self.blob) if part)


class BlobError(ElspethError):
    """A storage operation failed for good.

    ``reason`` is one word for programs (``blob_exists``, ``not_found``, ``container_not_found``,
    ``changed``, ``archived``, ``leased``, ``immutable``, ``refused``, ``busy``, ``unreachable``,
    ``conflict``, ``invalid_block``, ``unreadable``, ``failed``); ``status``, ``code`` and ``request_id`` are
    what the service said, ``detail`` what kept a token from being had.
    """

    def __init__(self, operation: str, target: Target, reason: str, what: str) -> None:
        super().__init__(f"{target}: {operation} failed: {what}", fix=_FIXES.get(reason, ""))
        self.operation = operation
        self.target = target
        self.reason = reason
        self.status: int | None = None
        self.code = ""
        self.request_id = ""
        self.detail = ""
        self.retryable = False
        self.retry_after: float | None = None


class BlobExistsError(BlobError):
    """There is such a blob already, and overwriting was not allowed."""


class BlobNotFoundError(BlobError):
    """There is no such blob or container."""


class BlobChangedError(BlobError):
    """The blob is not the one that was meant: its ETag is another one."""


class BlobArchivedError(BlobError):
    """The blob is in the archive tier and can't be read before it is rehydrated."""


class BlobRefusedError(BlobError):
    """The identity may not do this."""


_CLASSES: dict[str, type[BlobError]] = {
    "blob_exists": BlobExistsError,
    "not_found": BlobNotFoundError,
    "container_not_found": BlobNotFoundError,
    "changed": BlobChangedError,
    "archived": BlobArchivedError,
    "refused": BlobRefusedError,
}


def translate(error: AzureError, operation: str, target: Target) -> BlobError:
    """The library's exception as ours. Never holds a URL, a header or a credential."""
    status = getattr(error, "status_code", None)
    code = str(getattr(getattr(error, "error_code", ""), "value", getattr(error, "error_code", "")) or "")
    reason = _reason(error, status, code)
    what = reason.replace("_", " ")
    if status or code:
        what += f" ({' '.join(filter(None, (str(status or ''), code)))})"
        if reason == "failed" and isinstance(error, HttpResponseError):
            # Only here: what the service says of a refusal may quote the signature.
            what += f": {str(error.message).partition(chr(10))[0].rstrip('.')}"
    elif reason in ("unreachable", "failed"):
        what += f" ({type(error).__name__})"
    found = _CLASSES.get(reason, BlobError)(operation, target, reason, what)
    found.status, found.code = status, code
    if isinstance(error, ClientAuthenticationError) and status is None:
        found.detail = str(error.message).partition(chr(10))[0].rstrip(".")
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    found.request_id = headers.get("x-ms-request-id", "")
    found.retry_after = _seconds(headers)
    found.retryable = status in _RETRYABLE if status and status >= 400 else _is_transient(error)
    return found


def _reason(error: AzureError, status: int | None, code: str) -> str:
    if code in _REASONS:
        return _REASONS[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in _RETRYABLE:
        return "busy"
    if isinstance(error, ClientAuthenticationError):
        return "refused"
    return "unreachable" if _is_transient(error) else "failed"


def _is_transient(error: AzureError) -> bool:
    if isinstance(error, ClientAuthenticationError):
        return False
    if isinstance(error, HttpResponseError) and (error.status_code or 0) >= 400:
        return error.status_code in _RETRYABLE
    # No answer, or only half of one: the same again may work.
    return isinstance(error, ServiceRequestError | HttpResponseError | AzureError)


def _seconds(headers: object) -> float | None:
    get = getattr(headers, "get", None)
    if get is None:
        return None
    for name, scale in (("x-ms-retry-after-ms", 1000.0), ("retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        text = get(name)
        if text and text.isdigit():
            return int(text) / scale
    return None
