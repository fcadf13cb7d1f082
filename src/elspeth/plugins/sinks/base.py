"""What every sink has in common."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.schemas import SchemaOptions


class SinkOptions(BaseModel):
    """Options that every sink takes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, populate_by_name=True)

    schema_: SchemaOptions = Field(
        default_factory=SchemaOptions,
        alias="schema",
        description="What the rows must look like: `observed` (default), or a mapping with mode and fields.",
    )


class BaseSink:
    """The boring half of a sink: build it from options, then override what is not boring.

    A subclass sets ``name`` and ``options_model`` and writes ``write`` and ``publish``.
    ``original_headers`` (field → heading in the source) is set by the engine before the first
    `write`, for sinks that can restore them; ``expected_schema``, what the pipeline file and the head of
    the input say of the rows, before `on_start`.
    """

    name: ClassVar[str]
    plugin_version: ClassVar[str] = "1.0.0"
    determinism: ClassVar[Determinism] = Determinism.IO_DEPENDENT
    idempotent: ClassVar[bool] = True
    options_model: ClassVar[type[SinkOptions]] = SinkOptions

    def __init__(self, options: dict[str, Any]) -> None:
        """Raises pydantic's ValidationError for options that are not understood."""
        self.options: Any = self.options_model.model_validate(options)
        self.input_schema: PluginSchema = self.options.schema_.to_schema()
        self.original_headers: Mapping[str, str] = {}
        self.expected_schema = PluginSchema()

    def on_start(self, ctx: PluginContext) -> None:
        """Nothing to acquire."""

    def close(self) -> None:
        """Nothing to release."""

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """See `elspeth.contracts.plugins.Sink.write`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Nothing is held back."""

    def position(self) -> Mapping[str, Any]:
        """See `elspeth.contracts.plugins.Sink.position`."""
        raise NotImplementedError

    def restore(self, position: Mapping[str, Any]) -> None:
        """See `elspeth.contracts.plugins.Sink.restore`."""
        raise NotImplementedError

    def publish(self) -> Artifact:
        """See `elspeth.contracts.plugins.Sink.publish`."""
        raise NotImplementedError

    def targets(self) -> Sequence[str]:
        """Nothing is written to."""
        return []

    def check(self) -> list[str]:
        """What would keep this sink from writing, found without writing; empty if nothing."""
        return []
