"""``wasm``: a row through a WebAssembly module."""

from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson
from pydantic import Field, PrivateAttr, model_validator

from elspeth.contracts.errors import CanonicalError, LandscapeError, UsageError
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.core.canonical import dump, load
from elspeth.fabric.chassis import Chassis, ChassisError, Limits
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from elspeth.plugins.transforms.wasm_grants import BlobFetcher, GrantOptions

_DEFAULT = Limits()


class WasmOptions(TransformOptions):
    """Options of ``wasm``."""

    module: Path = Field(description="The module's file, binary (`.wasm`) or text (`.wat`).")
    sha256: str | None = Field(
        default=None, description="What the file's SHA-256 (hex) must be; else the pipeline is refused.",
        pattern="^[0-9a-f]{64}$",
    )  # fmt: skip
    fuel: int = Field(
        default=_DEFAULT.fuel,
        ge=1,
        description="How many instructions a row may take, about; the same everywhere.",
    )
    memory_bytes: int = Field(
        default=_DEFAULT.memory_bytes, ge=65536, description="How much memory the module may have, in bytes."
    )
    seconds: float = Field(
        default=_DEFAULT.seconds, gt=0, le=3600, description="How long a row may take, in seconds."
    )
    output_bytes: int = Field(
        default=_DEFAULT.output_bytes, ge=2, description="How long an answer may be, in bytes of JSON."
    )
    fresh: bool = Field(
        default=False,
        description="Start the module anew for every row, so that it can remember nothing. Slower.",
    )
    grants: GrantOptions | None = Field(
        default=None,
        description="What the module may touch: `folders`, `environment`, `clock`, `randomness`, `blobs`; "
        "default: nothing, not even WASI.",
    )
    promises: list[str] = Field(
        default_factory=list,
        description="Fields that every answer has; one that lacks any is the row's error.",
    )
    _chassis: Chassis = PrivateAttr()
    _fetcher: BlobFetcher | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            code = self.module.read_bytes()
        except OSError as error:
            raise ValueError(f"the module {self.module} can't be read: {error.strerror}") from error
        found = sha256(code).hexdigest()
        if self.sha256 is not None and found != self.sha256:
            raise ValueError(f"the module {self.module} is another one: its SHA-256 is {found}")
        limits = Limits(self.fuel, self.memory_bytes, self.seconds, self.output_bytes)
        grants = None
        if self.grants is not None:
            if self.grants.blobs is not None:
                self._fetcher = BlobFetcher(self.grants.blobs)
            grants = self.grants.grants(self._fetcher.fetch if self._fetcher is not None else None)
        try:
            self._chassis = Chassis(code, limits, fresh=self.fresh, grants=grants)
        except UsageError as error:
            raise ValueError(
                f"{self.module}: {error.what}" + (f" ({error.fix})" if error.fix else "")
            ) from error
        return self


class Wasm(BaseTransform):
    """Send rows through a WebAssembly module that can touch nothing else.

    The module gets the row as JSON and answers with JSON: an object is the row that goes on, a text is
    the reason why there is none. What JSON lacks (decimals, dates, …) has ELSPETH's tagged form both
    ways. The module has no files, network, clock or environment unless `grants` says so. A trap, an endless
    loop, too much memory or output are that row's error; the next row finds the module started anew. How a
    module is written: docs/how-to/wasm.md.
    """

    name: ClassVar[str] = "wasm"
    options_model = WasmOptions
    options: WasmOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._chassis = self.options._chassis
        self._fetcher = self.options._fetcher
        self._promises = tuple(self.options.promises)
        if self.options.grants is not None:
            # Of a module that may touch more, the answers depend on more.
            self.determinism = self.options.grants.determinism  # type: ignore[misc]

    def on_start(self, ctx: PluginContext) -> None:
        """Open what is granted outside."""
        if self._fetcher is not None:
            self._fetcher.begin(ctx)

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """What the options promise; a module may answer with anything."""
        return PluginSchema(guaranteed=frozenset(self._promises))

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """The module's row, or its reason, or the limit that it met."""
        try:
            answer = self._chassis.call(dump(row))
        except ChassisError as error:
            return TransformResult.error({"error": error.what, "limit": error.reason})
        finally:
            if self._fetcher is not None:
                self._fetcher.note(ctx)
        try:
            found = load(answer)
        except (LandscapeError, CanonicalError, orjson.JSONDecodeError):
            return TransformResult.error("the module's answer is no JSON")
        if isinstance(found, str):
            return TransformResult.error({"error": found or "the module gave no reason"})
        if not isinstance(found, dict):
            return TransformResult.error("the module's answer is neither an object nor a text")
        missing = [name for name in self._promises if name not in found]
        if missing:
            return TransformResult.error(f"the module's answer lacks {missing[0]!r}, which is promised")
        return TransformResult.success(found)

    def close(self) -> None:
        """End the clock's thread, and close what is granted outside."""
        self._chassis.close()
        if self._fetcher is not None:
            self._fetcher.close()
