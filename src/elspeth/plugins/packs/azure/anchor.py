"""Heads of the record in an Azure container that only takes: a blob for each, never written twice."""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

from elspeth.contracts.errors import LandscapeError, NotFoundError, UsageError
from elspeth.core.landscape.ledger.anchors import anchor_line
from elspeth.core.landscape.ledger.heads import ORIGIN, Head
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.credentials import BlobLogin
from elspeth.providers.azure_blob.errors import BlobError, BlobExistsError, BlobNotFoundError
from elspeth.providers.azure_blob.retention import Retention
from elspeth.providers.azure_blob.uploads import Label

_FORM = "https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
_OPTIONS = ("keep_days", "locked")


@dataclass(frozen=True, slots=True)
class AnchorPlace:
    """What an anchor's URL says. ``keep_days`` 0: the container's own policy decides."""

    account_url: str
    container: str
    prefix: str = ""
    keep_days: int = 0
    locked: bool = False

    @classmethod
    def of(cls, url: str) -> "AnchorPlace":
        """Raises UsageError for a URL that is none, or that holds a signature."""
        parts = urlsplit(url)
        segments = [unquote(one) for one in parts.path.split("/") if one]
        # An emulator has the account in the path.
        account = [segments.pop(0)] if segments and _is_local(parts.hostname or "") else []
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if "sig" in asked:
            raise UsageError(
                "the URL of an anchor may not hold a signature: it goes on record",
                fix="put the signature into AZURE_STORAGE_SAS_TOKEN",
            )
        unknown = sorted(asked.keys() - set(_OPTIONS))
        days = asked.get("keep_days", "0")
        if not segments or not parts.hostname or unknown or not days.isdigit():
            raise UsageError(
                f"{url} is no place for anchors",
                fix=f"the form is {_FORM}, and ?keep_days=N&locked=true may follow",
            )
        return cls(
            "/".join([f"{parts.scheme}://{parts.netloc}", *account]),
            segments[0],
            "/".join(segments[1:]),
            int(days),
            asked.get("locked", "").lower() in ("1", "true", "yes"),
        )

    def login(self, environ: Mapping[str, str] | None = None) -> BlobLogin:
        """The account with the credential of the variables that Azure's command line goes by.

        AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, else what
        `DefaultAzureCredential` finds.
        """
        found = os.environ if environ is None else environ
        if connection := found.get("AZURE_STORAGE_CONNECTION_STRING"):
            login = BlobLogin(connection_string=connection)
            if login.account() != self.account_url:
                raise UsageError(
                    f"AZURE_STORAGE_CONNECTION_STRING is for {login.account()}, not for {self.account_url}",
                    fix="unset it, or anchor in its account",
                )
            return login
        name = self.account_url.rpartition("/")[2].partition(".")[0]
        key, sas = found.get("AZURE_STORAGE_KEY"), found.get("AZURE_STORAGE_SAS_TOKEN")
        return BlobLogin(
            account_name=name,
            account_url=self.account_url,
            account_key=key,
            sas_token=None if key else sas,
            use_default_credential=not (key or sas),
        )


class BlobAnchor:
    """Puts each head into a blob of its own, ``PREFIX/RUN/NUMBER.json``, if there is none yet.

    What makes it an anchor is the container's immutability policy (or ``keep_days``, where the container has
    version-level immutability): without one, whoever may write may also delete.
    """

    def __init__(self, place: AnchorPlace, client: AzureBlobClient) -> None:
        self._place = place
        self._client = client
        self.way = place.login().way()
        self.where = f"{place.account_url}/{place.container}"

    @classmethod
    def open(cls, url: str) -> "BlobAnchor":
        """The anchor at a URL. Raises UsageError for a bad URL, LandscapeError if it can't be written to."""
        place = AnchorPlace.of(url)
        client = AzureBlobClient.from_login(place.login())
        try:
            client.may_write(place.container)
        except BlobError as error:
            client.close()
            raise LandscapeError(f"heads can't be anchored: {error.what}", fix=error.fix) from error
        return cls(place, client)

    def put(self, head: Head) -> None:
        """Write the head. Raises LandscapeError if that fails, or another head has its number already."""
        place, line = self._place, anchor_line(head)
        name = "/".join(
            filter(None, [place.prefix, head.origin.removeprefix(ORIGIN), f"{head.head_no:08d}.json"])
        )
        try:
            try:
                self._client.upload_blob(place.container, name, line, label=self._label())
            except BlobExistsError:
                if self._client.download_blob(place.container, name) != line:
                    raise LandscapeError(
                        f"another head is anchored at {self.where}/{name}",
                        fix="the record of this run was changed after it was anchored; see `elspeth verify"
                        " --anchor`, and start a new run",
                    ) from None
        except BlobError as error:
            raise LandscapeError(
                f"the head can't be anchored: {error.what}",
                fix=f"{error.fix}; the record itself is safe, go on with `elspeth resume`",
            ) from error

    def _label(self) -> Label:
        place = self._place
        if not place.keep_days:
            return Label("application/json")
        until = datetime.now(UTC) + timedelta(days=place.keep_days)
        return Label("application/json", retention=Retention(until, locked=place.locked))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def anchored_lines(url: str) -> Iterator[bytes]:
    """The heads anchored at a URL, each as the line that was written. Raises NotFoundError, UsageError."""
    place = AnchorPlace.of(url)
    try:
        with AzureBlobClient.from_login(place.login()) as client:
            for info in client.list_blobs(place.container, f"{place.prefix}/" if place.prefix else None):
                if info.name.endswith(".json"):
                    yield client.download_blob(place.container, info.name)
    except BlobNotFoundError as error:
        raise NotFoundError(f"there are no anchors: {error.what}") from error
    except BlobError as error:
        raise UsageError(f"the anchors can't be read: {error.what}", fix=error.fix) from error


def _is_local(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
