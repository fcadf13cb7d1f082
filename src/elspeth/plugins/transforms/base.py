"""What all transforms have in common, so that a transform is its options and its ``process``."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import OBSERVED, PluginSchema


class TransformOptions(BaseModel):
    """The base of options models: unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseTransform:
    """A transform with the usual defaults.

    A subclass sets ``name`` and ``options_model`` and writes ``process``. It narrows the type of
    ``options`` by an annotation (``options: MyOptions``). Whatever can be prepared once belongs in
    ``__init__``; what needs the outside world belongs in ``on_start``.

    The constructor raises pydantic's ValidationError for options that don't fit.

    The engine sets ``node_id`` (the name in the pipeline file) and ``on_error`` (the sink for
    rows that fail here) after construction.
    """

    name: ClassVar[str]
    plugin_version: ClassVar[str] = "1.0.0"
    determinism: ClassVar[Determinism] = Determinism.DETERMINISTIC
    options_model: ClassVar[type[BaseModel]] = TransformOptions

    input_schema: PluginSchema = OBSERVED
    node_id: str = ""
    on_error: str | None = None
    options: BaseModel

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = self.options_model.model_validate(options)

    def on_start(self, ctx: PluginContext) -> None:
        """Nothing to acquire."""

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The rows keep their shape."""
        return incoming

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """Return the row that goes on, or why it can't; never change ``row`` in place."""
        raise NotImplementedError(f"{type(self).__name__} has no process()")

    def close(self) -> None:
        """Nothing to release."""
