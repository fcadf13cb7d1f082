"""``line_explode``: one row per line of a text."""

import re
from typing import Any, ClassVar

from pydantic import Field

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import FieldType, PluginSchema
from elspeth.plugins.transforms.base import BaseTransform
from elspeth.plugins.transforms.explode import ExplodeOptions, exploded, exploded_schema
from elspeth.plugins.transforms.reasons import missing_field, wrong_type

# str.splitlines() would also split at form feeds and at U+2028, which are text to everyone else.
_LINE_END = re.compile(r"\r\n|\n|\r")


class LineExplodeOptions(ExplodeOptions):
    """Options of ``line_explode``."""

    source_field: str = Field(min_length=1, description="The field that holds the text.")
    output_field: str = Field(
        default="line", min_length=1, description="The field for the line; takes the text's place."
    )
    skip_blank: bool = Field(default=False, description="Leave out lines that are empty or only white space.")


class LineExplode(BaseTransform):
    """Make one row per line of a text field; the other fields are repeated in each.

    A line ends at a line feed, a carriage return, or both; the end of the last line makes no
    further, empty line. An empty text gives no rows at all. With ``skip_blank`` the index still
    counts every line.
    """

    name: ClassVar[str] = "line_explode"
    options_model = LineExplodeOptions
    options: LineExplodeOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._field = self.options.source_field
        self._output = self.options.output_field
        self._index = f"{self._output}_index" if self.options.include_index else None
        self.require([self._field])

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The line instead of the text."""
        return exploded_schema(incoming, self._field, self._output, FieldType.STR, self._index)

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """One row per line; an error where there is no text."""
        if self._field not in row:
            return TransformResult.error(missing_field(self._field, row))
        text = row[self._field]
        if not isinstance(text, str):
            return TransformResult.error(wrong_type(self._field, text, "text"))
        lines = _LINE_END.split(text)
        if not lines[-1]:
            lines.pop()
        every = not self.options.skip_blank
        kept = ((place, line) for place, line in enumerate(lines) if every or line.strip())
        return exploded(row, self._field, self._output, kept, self._index)
