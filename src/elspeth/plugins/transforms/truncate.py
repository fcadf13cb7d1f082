"""``truncate``: cut long text to a length."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.core.config.models_base import broken_rule
from elspeth.plugins.transforms.base import BaseTransform, TransformOptions
from elspeth.plugins.transforms.reasons import missing_field


class TruncateOptions(TransformOptions):
    """Options of ``truncate``."""

    fields: dict[str, Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="Field name → greatest length in characters (Unicode code points)."
    )
    suffix: str = Field(
        default="", description="Ends text that was cut, such as `...`; counts within the length."
    )
    strict: bool = Field(
        default=True, description="A row that lacks one of the fields is an error; `false`: it goes on."
    )

    @model_validator(mode="after")
    def _suffix_must_fit(self) -> "TruncateOptions":
        for name, length in self.fields.items():
            if len(self.suffix) > length:
                raise broken_rule(
                    f"the suffix has {len(self.suffix)} characters, field '{name}' may only have {length}",
                    fix="take a shorter suffix, or a greater length",
                    at=("suffix",),
                )
        return self


class Truncate(BaseTransform):
    """Cut text fields that are too long; a suffix counts within the length.

    Values that are not text (numbers, null, lists) have no length to cut and stay as they are.
    """

    name: ClassVar[str] = "truncate"
    needs_values: ClassVar[bool] = False
    options_model = TruncateOptions
    options: TruncateOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        suffix = self.options.suffix
        self._suffix = suffix
        self._cuts = tuple((name, n, n - len(suffix)) for name, n in self.options.fields.items())
        self._strict = self.options.strict
        if self._strict:
            self.require(self.options.fields)

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The rows keep their shape."""
        return incoming

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """A copy of the row with its long text cut, or the row itself if nothing is too long."""
        out = row
        for name, length, keep in self._cuts:
            try:
                value = row[name]
            except KeyError:
                if self._strict:
                    return TransformResult.error(missing_field(name, row))
                continue
            if isinstance(value, str) and len(value) > length:
                if out is row:
                    out = row.copy()
                out[name] = value[:keep] + self._suffix
        return TransformResult.success(out)
