"""``json_explode``: one row per element of a list."""

from typing import Any, ClassVar

from pydantic import Field

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldType, PluginSchema
from elspeth.plugins.transforms.base import BaseTransform
from elspeth.plugins.transforms.explode import ExplodeOptions, exploded, exploded_schema
from elspeth.plugins.transforms.reasons import missing_field, wrong_type


class JsonExplodeOptions(ExplodeOptions):
    """Options of ``json_explode``."""

    array_field: str = Field(min_length=1, description="The field that holds the list.")
    output_field: str = Field(
        default="item", min_length=1, description="The field for the element; takes the list's place."
    )


class JsonExplode(BaseTransform):
    """Make one row per element of a list; the other fields are repeated in each.

    An empty list gives no rows at all: the row ends here, as the record shows.
    """

    name: ClassVar[str] = "json_explode"
    options_model = JsonExplodeOptions
    options: JsonExplodeOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._field = self.options.array_field
        self._output = self.options.output_field
        self._index = f"{self._output}_index" if self.options.include_index else None
        self.require([self._field])

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The element instead of the list."""
        return exploded_schema(incoming, self._field, self._output, FieldType.ANY, self._index)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """One row per element; an error where there is no list."""
        if self._field not in row:
            return TransformResult.error(missing_field(self._field, row))
        values = row[self._field]
        if not isinstance(values, list | tuple):
            return TransformResult.error(wrong_type(self._field, values, "a list"))
        return exploded(row, self._field, self._output, enumerate(values), self._index)
