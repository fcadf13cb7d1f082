"""What a pipeline file grants to a module of the transform ``wasm``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import ElspethError, UsageError
from elspeth.contracts.plugins import PluginContext
from elspeth.fabric.chassis import ChassisError, Folder, Grants


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FolderGrant(_Part):
    """A folder that a module sees."""

    path: Path = Field(description="The folder.")
    at: str = Field(min_length=1, description="What the module calls it.")
    write: bool = Field(default=False, description="Whether the module may change what is in it.")


class GrantOptions(_Part):
    """What a module may touch. An empty list, or map, grants nothing."""

    folders: list[FolderGrant] = Field(default_factory=list, description="Folders.")
    environment: dict[str, str] = Field(
        default_factory=dict, description="Variables with their values; never ours."
    )
    clock: bool = Field(default=False, description="The time.")
    randomness: bool = Field(default=False, description="Random bytes.")
    blobs: dict[str, Any] | None = Field(
        default=None,
        description="Blobs that it may read: `allow` (names), `container`, and account and identity as for "
        "`azure_blob`.",
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for one in self.folders:
            if not one.path.is_dir():
                raise ValueError(f"the folder {one.path} is not there")
        if self.blobs is not None:
            _blob_options(self.blobs)
        return self

    @property
    def determinism(self) -> Determinism:
        """What an answer may depend on."""
        if self.clock or self.randomness:
            return Determinism.NON_DETERMINISTIC
        if self.blobs is not None:
            return Determinism.EXTERNAL_CALL
        return Determinism.IO_DEPENDENT if self.folders else Determinism.DETERMINISTIC

    def grants(self, fetch: Callable[[str], bytes] | None) -> Grants:
        """The same for the chassis."""
        return Grants(
            tuple(Folder(one.path, one.at, one.write) for one in self.folders),
            self.environment,
            self.clock,
            self.randomness,
            fetch if self.blobs is not None else None,
        )


class BlobFetcher:
    """Fetches what a module asks for, with credentials for just that; every call is on record.

    `begin` and `close` bracket a run; `fetch` raises ChassisError (reason ``grant``) for what is not granted,
    and for what can't be had.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = _blob_options(options)
        self._client: Any = None
        self._scoped: Any = None
        self._book: Any = None

    def begin(self, ctx: PluginContext, **transport: Any) -> None:
        """Open the client; ``transport`` is for the client library."""
        from elspeth.plugins.packs.azure.record import CallBook  # noqa: PLC0415  # an extra
        from elspeth.providers.azure_blob.client import AzureBlobClient  # noqa: PLC0415
        from elspeth.providers.azure_blob.scoped import ScopedBlobs  # noqa: PLC0415

        self._book = CallBook(ctx)
        pace = {"on_call": self._book.note, "pace": self._options.pace(), **transport}
        self._client = AzureBlobClient.from_login(self._options.login(), **pace)
        allowed = [f"{self._options.container}/{name}" for name in self._options.allow]
        self._scoped = ScopedBlobs(self._client, allowed, **pace)

    def fetch(self, name: str) -> bytes:
        """The content of ``container/name``."""
        if self._scoped is None:
            raise ChassisError("grant", "nothing can be fetched before the run begins")
        try:
            return bytes(self._scoped.read(name))
        except ElspethError as error:
            raise ChassisError("grant", error.what) from error

    def note(self, ctx: PluginContext) -> None:
        """Put down the calls of the row that was just processed."""
        if self._book is not None:
            self._book.write(ctx)

    def close(self) -> None:
        """Close the client, and put down the rest."""
        if self._client is not None:
            self._client.close()
            self._book.close()
            self._client = self._scoped = self._book = None


def _blob_options(given: dict[str, Any]) -> Any:
    try:
        from elspeth.plugins.packs.azure.access import AzureAccess  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise UsageError("blobs need the Azure libraries", fix='pip install "elspeth[azure]"') from error

    class GrantedBlobs(AzureAccess):
        """An account, an identity there, and the names of blobs."""

        model_config = ConfigDict(extra="forbid")
        allow: list[str] = Field(default_factory=list)

    try:
        made = GrantedBlobs.model_validate(given)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'blobs'}: {one['msg']}" for one in error.errors()
        )
        raise ValueError(f"blobs: {told}") from None
    if made.connection_string or made.account_key or made.sas_token:
        raise ValueError(
            "blobs: only an identity can delegate, not a key, a connection string or a signature"
        )
    return made
