"""Shared access signatures: service, account, and user delegation."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ContainerSasPermissions,
    ResourceTypes,
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from elspeth.contracts.errors import UsageError
from elspeth.providers.azure_blob.base import ClientBase
from elspeth.providers.azure_blob.calls import Attempt

_WORDS = {"read": "r", "write": "cw", "create": "c", "delete": "d", "list": "l", "add": "a", "tag": "t"}
_LETTERS = frozenset("racwdxyltmeopif")
_CLOCK_SKEW = timedelta(minutes=5)
_RENEW_AT = 0.8


@dataclass(frozen=True, slots=True)
class SasTerms:
    """What a signature is bound to. ``ip``: one address or a range, ``168.1.5.60-168.1.5.70``.

    ``https_only`` None: if the account itself speaks https. ``policy`` names a stored access policy.
    """

    https_only: bool | None = None
    ip: str | None = None
    policy: str | None = None


class Signatures(ClientBase):
    """Signs for others. With an account key at once; with a token credential by a user delegation key."""

    _delegation: tuple[UserDelegationKey, datetime] | None = None

    def generate_sas(
        self,
        container: str,
        blob: str,
        permission: str,
        expiry_hours: float = 1.0,
        *,
        terms: SasTerms | None = None,
    ) -> str:
        """The signature, without ``?``, for a blob, or for a whole container if ``blob`` is empty.

        ``permission`` is letters (``r``, ``rw``) or words (``read``, ``write``). Raises UsageError where
        nothing to sign with is at hand, and BlobError.
        """
        letters = "".join(_WORDS.get(word, word) for word in permission.replace(",", " ").split())
        now = datetime.now(UTC)
        expiry = now + timedelta(hours=expiry_hours)
        terms = terms or SasTerms()
        secure = self.url.startswith("https://") if terms.https_only is None else terms.https_only
        known: dict[str, Any] = {
            "account_name": self.account_name,
            "container_name": container,
            "start": now - _CLOCK_SKEW,
            "expiry": expiry,
            "protocol": "https" if secure else "https,http",
            **({"policy_id": terms.policy} if terms.policy else {}),
            **({"ip": terms.ip} if terms.ip else {}),
            **self._signer(expiry),
        }
        if not letters or set(letters) - _LETTERS:
            raise UsageError(
                f"{permission!r} is no permission for a SAS",
                fix="use letters such as r, rw, or words such as read",
            )
        if blob:
            return generate_blob_sas(
                blob_name=blob, permission=BlobSasPermissions.from_string(letters), **known
            )
        return generate_container_sas(permission=ContainerSasPermissions.from_string(letters), **known)

    def sas_url(self, container: str, blob: str, permission: str, expiry_hours: float = 1.0) -> str:
        """The blob's URL with a signature: whoever has it may do this until it expires. Keep it secret."""
        sas = self.generate_sas(container, blob, permission, expiry_hours)
        return f"{self.plain_url(container, blob)}?{sas}"

    def generate_account_sas(self, permission: str, expiry_hours: float = 1.0) -> str:
        """A signature for the whole account; needs the account key. Raises UsageError without one."""
        now = datetime.now(UTC)
        return generate_account_sas(
            account_name=self.account_name,
            account_key=self._account_key() or _no_key(),
            resource_types=ResourceTypes(service=True, container=True, object=True),
            permission=AccountSasPermissions.from_string(permission),  # type: ignore[no-untyped-call]
            expiry=now + timedelta(hours=expiry_hours),
            start=now - _CLOCK_SKEW,
        )

    def renewing_sas(
        self, container: str, blob: str, permission: str, expiry_hours: float = 1.0
    ) -> "RenewingSas":
        """A signature for long runs: a new one is made at 80 % of the life of the last."""
        return RenewingSas(
            lambda: self.generate_sas(container, blob, permission, expiry_hours), expiry_hours * 3600
        )

    def plain_url(self, container: str, blob: str) -> str:
        """The address of a blob, or of a container, without any credential."""
        client = self._blob(container, blob) if blob else self._container(container)
        return str(client.url).partition("?")[0]

    def delegation_key(self, expiry: datetime) -> UserDelegationKey:
        """A key that signs for this identity until ``expiry``. Raises UsageError for a client without one:
        what an
        account key signs can't be told from the account itself.
        """
        if not hasattr(getattr(self._service, "credential", None), "get_token"):
            raise UsageError(
                "only an identity can delegate; this client has a key or a signature",
                fix="use a token credential with the role Storage Blob Delegator",
            )
        return self._delegation_key(expiry)

    def _account_key(self) -> str | None:
        credential = getattr(self._service, "credential", None)
        return getattr(credential, "account_key", None)

    def _signer(self, expiry: datetime) -> dict[str, Any]:
        if key := self._account_key():
            return {"account_key": key}
        if not hasattr(getattr(self._service, "credential", None), "get_token"):
            _no_key()
        return {"user_delegation_key": self._delegation_key(expiry)}

    def _delegation_key(self, expiry: datetime) -> UserDelegationKey:
        """A key of the service for this identity, used again while it outlives what is signed with it."""
        if self._delegation and self._delegation[1] >= expiry:
            return self._delegation[0]
        start = datetime.now(UTC) - _CLOCK_SKEW
        end = min(max(expiry, start + timedelta(hours=2)) + _CLOCK_SKEW, start + timedelta(days=7))
        if expiry > end:
            raise UsageError(
                "a user delegation SAS can't live longer than seven days", fix="lower expiry_hours"
            )

        def ask(attempt: Attempt) -> UserDelegationKey:
            return self._service.get_user_delegation_key(start, end, raw_response_hook=attempt.note)

        key = self._call("get_user_delegation_key", "", "", ask)
        self._delegation = (key, end)
        return key


class RenewingSas:
    """A signature that is made anew at 80 % of its life. Call `token` whenever one is needed."""

    def __init__(
        self, make: Callable[[], str], life_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._life = life_s
        self._clock = clock
        self._token = ""
        self._renew_at = clock()

    def token(self) -> str:
        """A signature with at least a fifth of its life before it."""
        now = self._clock()
        if now >= self._renew_at:
            self._token = self._make()
            self._renew_at = now + self._life * _RENEW_AT
        return self._token


def _no_key() -> str:
    raise UsageError(
        "a SAS can't be signed: the client has neither the account key nor a token credential",
        fix="use account_key, connection_string, or an identity with the role Storage Blob Delegator",
    )
