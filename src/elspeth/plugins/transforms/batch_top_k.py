"""``batch_top_k``: the rows of a batch with the greatest (or least) values of a field, per group."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import Field

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.transforms.base import BaseBatchTransform, TransformOptions
from elspeth.plugins.transforms.batches import GroupBy, grouped, turned_away
from elspeth.plugins.transforms.reasons import type_name

_KINDS: dict[type, str] = {
    int: "numbers",
    float: "numbers",
    Decimal: "numbers",
    str: "text",
    bool: "true/false",
    date: "dates",
    datetime: "dates and times",
}


class BatchTopKOptions(TransformOptions):
    """Options of ``batch_top_k``."""

    field: str = Field(min_length=1, description="The field by which rows are ranked.")
    k: int = Field(ge=1, description="How many rows go on at most, of the batch or of each group.")
    order: Literal["desc", "asc"] = Field(
        default="desc", description="`desc`: the greatest values first; `asc`: the least."
    )
    group_by: GroupBy = Field(
        default=(), description="Rank the rows of each value of this field (or of these together) apart."
    )


class BatchTopK(BaseBatchTransform):
    """Replace a batch by those of its rows that rank highest, best first; the rows stay as they are.

    Of equal values the row that came first is ahead. Rows without a value (null, or no such field)
    are never among them. Groups come in the order of their first rows. Numbers, text, dates or
    times can be ranked; if a batch holds several kinds of these, it is turned away.
    """

    name: ClassVar[str] = "batch_top_k"
    needs_values: ClassVar[bool] = False
    options_model = BatchTopKOptions
    options: BatchTopKOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.require([self.options.field, *self.options.group_by])

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The rows keep their shape."""
        return incoming

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        """The best rows; an error that names the row whose value can't be ranked with the others'."""
        field, best = self.options.field, []
        first = ""
        for place, row in enumerate(rows):
            value = row.get(field)
            if value is None:
                continue
            kind = _KINDS.get(type(value), "")
            if not kind:
                what = f"field '{field}' holds {type_name(value)}, which has no rank"
            elif first and kind != first:
                what = f"field '{field}' holds {type_name(value)}, and earlier rows hold {first}"
            else:
                first = kind
                continue
            reason = {"error": what, "field": field, "kind": "wrong_type"}
            return turned_away(reason, place, rows, ctx.tokens)
        for _, places in grouped(rows, self.options.group_by):
            ranked = [place for place in places if rows[place].get(field) is not None]
            try:
                # Python's sort is stable in both directions: of equals the first stays first.
                ranked.sort(key=lambda place: rows[place][field], reverse=self.options.order == "desc")
            except TypeError:
                what = f"field '{field}' holds times with and without a time zone: they have no order"
                return TransformResult.error({"error": what, "field": field, "kind": "wrong_type"})
            best += [dict(rows[place]) for place in ranked[: self.options.k]]
        return TransformResult.expand(best)
