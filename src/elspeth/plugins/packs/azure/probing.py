"""Which credential works, and what is missing where one does not: for `elspeth doctor`."""

from collections.abc import Callable

from elspeth.contracts.errors import PluginError
from elspeth.plugins.packs.azure.access import AzureAccess
from elspeth.providers.azure_blob.base import Pace
from elspeth.providers.azure_blob.calls import Retrying
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobError

READER = "Storage Blob Data Reader"
CONTRIBUTOR = "Storage Blob Data Contributor"
_LETTERS = {READER: "rl", CONTRIBUTOR: "rcwl"}


def probe(access: AzureAccess, ask: Callable[[AzureBlobClient], None], role: str) -> str:
    """That the credential may do what ``role`` allows. Raises PluginError with what is missing if not."""
    login = access.login()
    place, way = f"{login.account()}/{access.container}", login.way()
    verb = "read" if role == READER else "write"
    try:
        with AzureBlobClient.from_login(login, pace=Pace(Retrying(attempts=2))) as client:
            ask(client)
    except BlobError as error:
        said = " ".join(str(one) for one in (error.status, error.code) if one)
        raise PluginError(
            f"{way} may not {verb} {place}: {said or error.reason}"
            if error.reason == "refused"
            else error.what,
            fix=_missing(error, way, role, access.container),
        ) from error
    return f"{way} may {verb} {place}"


def _missing(error: BlobError, way: str, role: str, container: str) -> str:
    if error.reason != "refused":
        return error.fix
    if error.code == "AuthenticationFailed":
        return f"the {way} is wrong or has expired, or this machine's clock is; copy it anew"
    if error.code in ("AuthorizationFailure", "IpAuthorizationError", "AuthorizationSourceIPMismatch"):
        wrong = "the key is wrong, or " if way in ("account_key", "connection_string") else ""
        return (
            f"{wrong}the account's firewall refuses this machine: allow it, or see that its name leads to"
            " the private endpoint"
        )
    if way == "sas_token":
        return f"the signature lacks permissions: make one for container {container} with {_LETTERS[role]}"
    if error.status in (None, 401):
        return (
            f"no token could be had by {way}: {error.detail or 'see that this machine has such an identity'}"
        )
    return (
        f"this identity lacks the role {role}: az role assignment create --role '{role}' --scope"
        f" …/blobServices/default/containers/{container}; it takes some minutes to hold"
    )
