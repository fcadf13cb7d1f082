"""``value_transform``: compute fields from fields."""

from typing import Any, ClassVar

from pydantic import Field

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.core.expressions import EVALUATION_ERRORS
from elspeth.plugins.transforms.base import BaseTransform, Options, TransformOptions
from elspeth.plugins.transforms.formulas import ExpressionText, Formula, demanded, targets
from elspeth.plugins.transforms.schema_changes import with_fields


class Operation(Options):
    """One computed field."""

    target: str = Field(min_length=1, description="The field to set; an existing one gets the new value.")
    expression: ExpressionText = Field(
        description="What to set it to, such as `row['price'] * row['count']`."
    )


class ValueTransformOptions(TransformOptions):
    """Options of ``value_transform``."""

    operations: list[Operation] = Field(
        min_length=1, description="Computed one after the other; each sees the results of those before it."
    )


class ValueTransform(BaseTransform):
    """Set fields to the values of expressions, in order; later ones see what earlier ones set.

    A row on which an expression fails is an error as a whole: no half-computed row goes on.
    """

    name: ClassVar[str] = "value_transform"
    options_model = ValueTransformOptions
    options: ValueTransformOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._formulas = tuple(Formula(step.target, step.expression) for step in self.options.operations)
        self.require(demanded(self._formulas))

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The targets are promised."""
        return with_fields(incoming, targets(self._formulas))

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """A new row with the targets set."""
        out = row.copy()
        for formula in self._formulas:
            try:
                out[formula.target] = formula.fn(out)
            except EVALUATION_ERRORS as error:
                return TransformResult.error(formula.failure(error, out))
        return TransformResult.success(out)
