"""Blobs that nobody can change or delete for a while (WORM)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.storage.blob import ImmutabilityPolicy

from elspeth.providers.azure_blob.base import ClientBase
from elspeth.providers.azure_blob.calls import Attempt


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a blob can be neither changed nor deleted, in a container with version-level immutability.

    ``locked``: nobody can shorten it, ever. ``hold``: besides, until the legal hold is taken away.
    """

    until: datetime | None
    locked: bool = False
    hold: bool = False

    def policy(self) -> ImmutabilityPolicy | None:
        """The library's object; None if only held."""
        if self.until is None:
            return None
        mode = "Locked" if self.locked else "Unlocked"
        return ImmutabilityPolicy(expiry_time=self.until, policy_mode=mode)

    def arguments(self) -> dict[str, Any]:
        """The library's arguments for a write."""
        policy = {} if self.until is None else {"immutability_policy": self.policy()}
        return {**policy, **({"legal_hold": True} if self.hold else {})}


class Retentions(ClientBase):
    """Keeping blobs that are there already. The container must have version-level immutability."""

    def keep_until(self, container: str, blob: str, until: datetime, *, locked: bool = False) -> None:
        """Let nobody change or delete a blob before ``until``; a locked date can only be moved on.

        Raises BlobError, with reason ``immutable`` or ``conflict`` where a locked policy forbids it.
        """
        client, policy = self._blob(container, blob), Retention(until, locked).policy()
        assert policy is not None

        def put(attempt: Attempt) -> None:
            client.set_immutability_policy(policy, raw_response_hook=attempt.note)

        self._call("set_immutability_policy", container, blob, put, until=until.isoformat(), locked=locked)

    def keep_no_longer(self, container: str, blob: str) -> None:
        """Take away a policy that is not locked. Raises BlobError."""
        client = self._blob(container, blob)

        def drop(attempt: Attempt) -> None:
            client.delete_immutability_policy(raw_response_hook=attempt.note)

        self._call("delete_immutability_policy", container, blob, drop)

    def set_legal_hold(self, container: str, blob: str, *, hold: bool) -> None:
        """Set or take away a legal hold: while there is one, nobody can change or delete the blob."""
        client = self._blob(container, blob)

        def put(attempt: Attempt) -> None:
            client.set_legal_hold(hold, raw_response_hook=attempt.note)

        self._call("set_legal_hold", container, blob, put, hold=hold)
