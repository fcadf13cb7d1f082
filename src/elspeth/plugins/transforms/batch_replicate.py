"""``batch_replicate``: each row of a batch several times."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, model_validator

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.core.config.models_base import broken_rule
from elspeth.plugins.transforms.base import BaseBatchTransform, TransformOptions
from elspeth.plugins.transforms.batches import turned_away
from elspeth.plugins.transforms.reasons import type_name
from elspeth.plugins.transforms.schema_changes import with_fields

INDEX = "copy_index"


class BatchReplicateOptions(TransformOptions):
    """Options of ``batch_replicate``."""

    copies_field: str | None = Field(
        default=None, min_length=1, description="The field that says how often a row comes; default: none."
    )
    default_copies: int = Field(
        default=1, ge=0, description="How often a row comes whose field is null or not there."
    )
    include_copy_index: bool = Field(
        default=True, description="Add `copy_index` to each row: 0 for a row's first copy."
    )
    max_copies: int = Field(
        default=10_000, ge=1, description="A row that asks for more copies turns the batch away."
    )

    @model_validator(mode="after")
    def _within_the_limit(self) -> "BatchReplicateOptions":
        if self.default_copies > self.max_copies:
            raise broken_rule(
                f"default_copies is {self.default_copies}, and max_copies {self.max_copies}",
                fix="raise max_copies",
                at=("default_copies",),
            )
        return self


class BatchReplicate(BaseBatchTransform):
    """Replace a batch by copies of its rows, those of one row behind each other.

    A row that asks for 0 copies is left out; that it was in the batch is on record. A number of copies
    that is negative, too large or no whole number turns the whole batch away.
    """

    name: ClassVar[str] = "batch_replicate"
    needs_values: ClassVar[bool] = False
    options_model = BatchReplicateOptions
    options: BatchReplicateOptions

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The rows as they came, with ``copy_index`` if that is wanted."""
        if not self.options.include_copy_index:
            return incoming
        return with_fields(incoming, [FieldSpec(INDEX, FieldType.INT)])

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        """The copies; an error that names the row whose number of copies makes no sense."""
        copies = []
        for place, row in enumerate(rows):
            count = self._copies(row)
            if isinstance(count, str):
                reason = {"error": count, "field": self.options.copies_field, "kind": "bad_count"}
                return turned_away(reason, place, rows, ctx.tokens)
            if self.options.include_copy_index and INDEX in row:
                what = f"field '{INDEX}' cannot be added: the row already has a field of that name"
                reason = {"error": what, "field": INDEX, "kind": "name_taken"}
                return turned_away(reason, place, rows, ctx.tokens)
            for number in range(count):
                copies.append({**row, INDEX: number} if self.options.include_copy_index else dict(row))
        return TransformResult.expand(copies)

    def _copies(self, row: Row) -> int | str:
        """How often the row comes, or what is wrong with that."""
        field = self.options.copies_field
        value = row.get(field) if field is not None else None
        if value is None:
            return self.options.default_copies
        if type(value) is not int:
            return f"field '{field}' holds {type_name(value)}, not a whole number of copies"
        if not 0 <= value <= self.options.max_copies:
            return f"field '{field}' asks for {value} copies; 0 to {self.options.max_copies} are possible"
        return value
