"""Who we are to the storage account: exactly one way of saying so."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elspeth.contracts.errors import UsageError

CredentialFactory = Callable[[], Any]
_WAYS = (
    "connection_string, account_key, sas_token, use_default_credential, use_managed_identity,"
    " use_workload_identity, or tenant_id with client_id and client_secret"
)


@dataclass(frozen=True, slots=True)
class BlobLogin:
    """An account and one way to be let in. Secrets are not in its repr.

    ``account_url`` is needed for anything but public Azure; else ``account_name`` is enough.
    ``client_id`` alone, with ``use_managed_identity`` or ``use_workload_identity``, names a
    user-assigned identity.
    """

    account_name: str | None = None
    account_url: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    use_default_credential: bool = False
    use_managed_identity: bool = False
    use_workload_identity: bool = False
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)

    def given(self) -> list[str]:
        """The ways that were given, by name, for messages."""
        names = [
            name
            for name in (
                "connection_string",
                "account_key",
                "sas_token",
                "use_default_credential",
                "use_managed_identity",
                "use_workload_identity",
                "client_secret",
            )
            if getattr(self, name)
        ]
        if self.client_id and not names:
            names.append("client_id")
        return names

    def problem(self) -> str:
        """What is wrong with it, in one sentence; empty if nothing."""
        given = self.given()
        if not given:
            return f"no credential was given; give exactly one of: {_WAYS}"
        if len(given) > 1:
            return f"exactly one credential is needed, {len(given)} were given: {', '.join(given)}"
        if self.client_secret and not (self.tenant_id and self.client_id):
            return "a service principal needs tenant_id, client_id and client_secret"
        if given == ["client_id"]:
            return (
                "client_id alone is no credential: add client_secret and tenant_id, or use_managed_identity"
            )
        if not self.connection_string and not (self.account_name or self.account_url):
            return "account_name (or account_url) is missing"
        if self.connection_string and (self.account_url or self.account_name):
            return "connection_string names the account already: leave out account_name and account_url"
        return ""

    def check(self) -> "BlobLogin":
        """Itself. Raises UsageError if it is not exactly one way in."""
        if problem := self.problem():
            raise UsageError(f"Azure Blob Storage: {problem}")
        return self

    def account(self) -> str:
        """The account's URL as far as it can be told without connecting; never a secret."""
        if self.connection_string:
            parts = dict(part.partition("=")[::2] for part in self.connection_string.split(";"))
            name, suffix = (
                parts.get("AccountName", "account"),
                parts.get("EndpointSuffix", "core.windows.net"),
            )
            return parts.get("BlobEndpoint", f"https://{name}.blob.{suffix}").partition("?")[0].rstrip("/")
        url = self.account_url or f"https://{self.account_name}.blob.core.windows.net"
        return url.partition("?")[0].rstrip("/")

    def way(self) -> str:
        """The name of the one way that was given."""
        return self.given()[0]

    def credential(self) -> Any:
        """The credential object for the client library; None where the connection string holds it.

        Raises UsageError for an identity that this machine can't have.
        """
        if self.connection_string:
            return None
        if self.account_key or self.sas_token:
            return self.account_key or str(self.sas_token).lstrip("?")
        try:
            return self._identity()
        except ValueError as error:
            raise UsageError(
                f"Azure Blob Storage: {self.way()} can't be used here: {error}",
                fix="see that the variables of this credential are set (AZURE_FEDERATED_TOKEN_FILE …)",
            ) from error

    def _identity(self) -> Any:
        from azure import identity  # noqa: PLC0415 - takes long to load, and only tokens need it

        # What it has to say is in the error, too: without a handler it would be on stderr twice.
        logging.getLogger("azure").addHandler(logging.NullHandler())
        if self.client_secret:
            return identity.ClientSecretCredential(
                str(self.tenant_id), str(self.client_id), self.client_secret
            )
        if self.use_managed_identity:
            return identity.ManagedIdentityCredential(client_id=self.client_id)
        if self.use_workload_identity:
            known = {"tenant_id": self.tenant_id, "client_id": self.client_id}
            return identity.WorkloadIdentityCredential(
                **{name: value for name, value in known.items() if value}
            )
        return identity.DefaultAzureCredential()
