"""``batch_stats``: count, sum, least, greatest and mean of a field over a batch, per group."""

from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from fractions import Fraction
from math import fsum
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.transforms.base import BaseBatchTransform, TransformOptions
from elspeth.plugins.transforms.batches import GroupBy, grouped, names_taken, turned_away
from elspeth.plugins.transforms.reasons import type_name

_NUMBERS = (int, float, Decimal)
_MADE = ("batch_size", "count", "missing", "sum", "min", "max", "mean")
_DIGITS = 28  # of a decimal mean that does not come out even, as Python's own decimals have
_EXACT_DIGITS = 10_000
_COUNTS = ("batch_size", "count", "missing")


class BatchStatsOptions(TransformOptions):
    """Options of ``batch_stats``."""

    value_field: str = Field(min_length=1, description="The field whose values are summed up.")
    group_by: GroupBy = Field(
        default=(), description="One row per value of this field (or of these fields together)."
    )
    compute_mean: bool = Field(default=True, description="Whether `mean` is among the results.")

    @model_validator(mode="after")
    def _names_differ(self) -> "BatchStatsOptions":
        names_taken(self.group_by, _MADE, "group_by")
        return self


class BatchStats(BaseBatchTransform):
    """Replace a batch by figures of one of its fields: a row for all, or one per group.

    `batch_size` counts the rows, `count` those with a value, `missing` those without (null, or no
    such field). `sum`, `min`, `max` and `mean` are of the values, and null where there are none.
    Sums of integers and decimals are exact, those of floats are rounded once, whatever the order. The mean
    of integers is a float, that of decimals a decimal of at least 28 digits.

    Groups come in the order of their first rows; rows without the field make a group with null.
    A value that is not a number, or floats and decimals together, turn the whole batch away.
    """

    name: ClassVar[str] = "batch_stats"
    needs_values: ClassVar[bool] = False
    options_model = BatchStatsOptions
    options: BatchStatsOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.require([self.options.value_field, *self.options.group_by])

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The groups' fields and the figures, nothing else."""
        known = {spec.name: spec for spec in incoming.fields}
        groups = [known.get(name, FieldSpec(name, required=False)) for name in self.options.group_by]
        value = known.get(self.options.value_field)
        kind = value.type if value is not None else FieldType.ANY
        sure = value is not None and value.required
        mean = FieldType.FLOAT if kind in (FieldType.INT, FieldType.FLOAT) else kind
        figures = [FieldSpec(name, FieldType.INT) for name in _COUNTS]
        figures += [FieldSpec(name, kind, sure) for name in ("sum", "min", "max")]
        if self.options.compute_mean:
            figures.append(FieldSpec("mean", mean, sure))
        made = frozenset(spec.name for spec in (*groups, *figures))
        return PluginSchema(SchemaMode.FIXED, (*groups, *figures), guaranteed=made)

    def process_batch(self, rows: Sequence[Row], ctx: PluginContext) -> TransformResult:
        """The figures; an error that names the row whose value can't be summed up."""
        field = self.options.value_field
        kinds: dict[type, int] = {}
        for place, row in enumerate(rows):
            value = row.get(field)
            if value is None:
                continue
            if type(value) not in _NUMBERS:
                reason = {"error": f"field '{field}' holds {type_name(value)}, not a number", "field": field}
                return turned_away({**reason, "kind": "wrong_type"}, place, rows, ctx.tokens)
            kinds.setdefault(type(value), place)
        if float in kinds and Decimal in kinds:
            place = max(kinds[float], kinds[Decimal])
            what = f"field '{field}' holds floating-point and decimal numbers, which have no exact sum"
            return turned_away({"error": what, "field": field, "kind": "wrong_type"}, place, rows, ctx.tokens)
        results = []
        for group, places in grouped(rows, self.options.group_by):
            values = [value for place in places if (value := rows[place].get(field)) is not None]
            try:
                figures = self._figures(values)
            except (OverflowError, Overflow, Inexact, InvalidOperation):
                what = f"the sum of '{field}' is too large, or has too many digits"
                return TransformResult.error({"error": what, "field": field, "kind": "overflow"})
            counts = (len(places), len(values), len(places) - len(values))
            keys = dict(zip(self.options.group_by, group, strict=True))
            results.append({**keys, **dict(zip(_COUNTS, counts, strict=True)), **figures})
        return TransformResult.expand(results)

    def _figures(self, values: Sequence[Any]) -> Row:
        figures = {"sum": None, "min": None, "max": None, "mean": None}
        if values:
            total = _total(values)
            figures = {
                "sum": total,
                "min": min(values),
                "max": max(values),
                "mean": _mean(total, values) if self.options.compute_mean else None,
            }
        if not self.options.compute_mean:
            del figures["mean"]
        return figures


def _total(values: Sequence[Any]) -> Any:
    kinds = set(map(type, values))
    if Decimal in kinds:
        with localcontext(Context(prec=_EXACT_DIGITS, traps=[Inexact, Overflow, InvalidOperation])):
            return sum(values, Decimal(0))
    if kinds == {float}:
        return fsum(values)
    if float in kinds:
        return float(sum(map(Fraction, values)))
    return sum(values)


def _mean(total: Any, values: Sequence[Any]) -> Any:
    if isinstance(total, Decimal):
        digits = max(_DIGITS, len(total.as_tuple().digits))
        return Context(prec=digits).divide(total, Decimal(len(values)))
    if isinstance(total, float):
        # From the exact sum: dividing the rounded one would round twice.
        return float(sum(map(Fraction, values)) / len(values)) if len(values) > 1 else float(values[0])
    return total / len(values)
