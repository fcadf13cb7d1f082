"""What all transforms have in common, so that a transform is its options and its ``process``."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import OBSERVED, PluginSchema
from elspeth.plugins.schemas import SchemaOptions


class Options(BaseModel):
    """The base of models inside options: unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class TransformOptions(Options):
    """The base of a transform's options: what every transform takes."""

    schema_: SchemaOptions = Field(
        default_factory=SchemaOptions,
        alias="schema",
        description="What the rows that come in must look like; checked at validation, nothing is coerced.",
    )


class _Configured:
    """What transforms of rows and of batches share: options, demands, and nothing to do at start and end."""

    name: ClassVar[str]
    plugin_version: ClassVar[str] = "1.0.0"
    determinism: ClassVar[Determinism] = Determinism.DETERMINISTIC
    options_model: ClassVar[type[BaseModel]] = TransformOptions

    input_schema: PluginSchema = OBSERVED
    needs_values: ClassVar[bool] = True
    """Whether the demanded fields must hold something; False: null is as good as any value."""
    node_id: str = ""
    on_error: str | None = None
    options: BaseModel

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = self.options_model.model_validate(options)
        if isinstance(self.options, TransformOptions) and "schema_" in self.options.model_fields_set:
            own_demands = self.input_schema.demands
            self.input_schema = self.options.schema_.to_schema()
            self.require(own_demands)

    def require(self, fields: Iterable[str]) -> None:
        """Demand, at validation, that rows come in with these fields. For use in ``__init__``."""
        demanded = self.input_schema.required.union(fields)
        self.input_schema = replace(self.input_schema, required=demanded)

    def on_start(self, ctx: PluginContext) -> None:
        """Nothing to acquire."""

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """Nothing is known of what comes out: say it where you can."""
        return OBSERVED

    def close(self) -> None:
        """Nothing to release."""


class BaseTransform(_Configured):
    """A transform with the usual defaults.

    A subclass sets ``name`` and ``options_model`` and writes ``process``. It narrows the type of
    ``options`` by an annotation (``options: MyOptions``). Whatever can be prepared once belongs in
    ``__init__``; what needs the outside world belongs in ``on_start``.

    The constructor raises pydantic's ValidationError for options that don't fit.

    The engine sets ``node_id`` (the name in the pipeline file) and ``on_error`` (the sink for
    rows that fail here) after construction.
    """

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """Return the row that goes on, or why it can't; never change ``row`` in place."""
        raise NotImplementedError(f"{type(self).__name__} has no process()")


class BaseBatchTransform(_Configured):
    """A transform of batches, for use in an aggregation, with the usual defaults.

    As `BaseTransform`, but a subclass writes ``process_batch``, which gets all rows of a batch at
    once (at least one) and must keep nothing from one batch to the next.
    """

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        """Return the rows that go on instead of these, or why the whole batch failed."""
        raise NotImplementedError(f"{type(self).__name__} has no process_batch()")
