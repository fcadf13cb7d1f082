"""What Azure refuses, told so that somebody can do something about it.

AzureVMError                 3   anything that Azure Resource Manager refuses
├── CredentialError          3   no credential, or one that Azure does not know
├── PermissionMissingError   3   403: names the role that is missing
├── AzureNotFoundError       2   no such machine, resource group or subscription
├── InvalidRequestError      2   an unknown size or region, a name that is too long
├── QuotaError               3   the subscription may not use so many cores
├── CapacityError            3   Azure has none of that size there just now
├── ConflictError            3   something else is happening to the same resource, or it was changed
├── ThrottledError           3   429 again and again
├── UnreachableError         3   no answer; what was asked for may have been done
└── OperationTimeoutError    3   an operation takes longer than we wait; it goes on in Azure
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from elspeth.contracts.errors import ElspethError, NotFoundError, UsageError


class AzureVMError(ElspethError):
    """Azure refused. ``status`` is the HTTP status (0: none), ``code`` Azure's own word for the reason."""

    def __init__(self, what: str, *, fix: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(what, fix=fix)
        self.status = status
        self.code = code


class CredentialError(AzureVMError):
    """There is no credential, or Azure does not accept it."""


class PermissionMissingError(AzureVMError):
    """The caller may not do that."""


class AzureNotFoundError(AzureVMError, NotFoundError):
    """There is no such machine, resource group or subscription."""


class InvalidRequestError(AzureVMError, UsageError):
    """Azure does not understand the request: an unknown size or region, a name that is too long."""


class QuotaError(AzureVMError):
    """The subscription may not use so many cores in that region."""


class CapacityError(AzureVMError):
    """Azure has no machine of that size in that region or zone just now, or not for this subscription."""


class ConflictError(AzureVMError):
    """Something else is happening to the same resource, or it was changed since it was read."""


class ThrottledError(AzureVMError):
    """Azure answered 429 for as long as we were ready to try."""


class UnreachableError(AzureVMError):
    """There was no answer. What was asked for may have been done all the same: look before asking again."""


class OperationTimeoutError(AzureVMError):
    """We waited as long as we do; Azure goes on working. ``PendingOperation`` can be resumed."""


_NO_CAPACITY = frozenset({
    "SkuNotAvailable", "AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest",
})  # fmt: skip
# What the SDK says by the kind of its error where there was no response that says it.
_STATUS = ((ResourceNotFoundError, 404), (ResourceExistsError, 409), (ResourceModifiedError, 412))
_ROLES = {
    "microsoft.compute": "Virtual Machine Contributor",
    "microsoft.network": "Network Contributor",
    "microsoft.resources": "Contributor",
}


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into ours. ``doing`` begins the message: ``start vm-1 in rg``."""
    try:
        yield
    except ClientAuthenticationError as error:
        raise CredentialError(
            f"{doing}: Azure does not accept the credential: {_first_line(error)}",
            fix="sign in (`az login`), or give the machine or workload an identity",
            status=getattr(error, "status_code", 0) or 0,
        ) from error
    except HttpResponseError as error:
        raise from_response(doing, error) from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise UnreachableError(
            f"{doing}: no answer from Azure: {_first_line(error)}",
            fix="check the network, then look whether it was done before asking again",
        ) from error
    except AzureError as error:
        raise AzureVMError(f"{doing}: {_first_line(error)}") from error


def from_response(doing: str, error: HttpResponseError) -> AzureVMError:
    """The error of ours that says what an answer of Azure's means."""
    status = error.status_code or next((code for kind, code in _STATUS if isinstance(error, kind)), 0)
    detail = error.error
    code = (getattr(detail, "code", None) or "") if detail is not None else ""
    said = (getattr(detail, "message", None) or "") if detail is not None else ""
    what = f"{doing}: {said or _first_line(error)}" + (f" ({code})" if code else "")
    kind, fix = _meaning(status, code, said)
    return kind(what, fix=fix, status=status, code=code)


def _meaning(status: int, code: str, said: str) -> tuple[type[AzureVMError], str]:
    if code in _NO_CAPACITY:
        return CapacityError, "try another size, zone or region, or come back later"
    if code == "QuotaExceeded" or (code == "OperationNotAllowed" and "quota" in said.lower()):
        return QuotaError, "ask for more quota in the portal (Usage + quotas), or take a smaller size"
    by_status: dict[int, tuple[type[AzureVMError], str]] = {
        400: (InvalidRequestError, "see what `az vm list-skus` and `az account list-locations` offer"),
        404: (
            AzureNotFoundError,
            "check the subscription (`az account list`)"
            if code == "SubscriptionNotFound"
            else "check the names; if it should be there, somebody else may have deleted it",
        ),
        409: (ConflictError, "wait until what is under way there has ended, then try again"),
        412: (ConflictError, "somebody changed it since it was read: read it again"),
        429: (ThrottledError, "ask less often: Azure allows 250 reads at once and 25 more per second"),
    }
    if status == 403:
        return PermissionMissingError, _missing_role(said)
    return by_status.get(status, (AzureVMError, ""))


def _missing_role(said: str) -> str:
    found = re.search(r"perform action '([^'/]+)/([^']*)'(?: over scope '([^']*)')?", said)
    if found is None:
        return "ask the subscription's owner for a role that allows it"
    role = "Reader" if found[2].lower().endswith("/read") else _ROLES.get(found[1].lower(), "Contributor")
    scope = f" on {found[3]}" if found[3] else ""
    return f"ask for the role {role!r}{scope} (it allows {found[1]}/{found[2]})"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
