"""The ``text`` sink: one field, one line per row."""

import codecs
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field, field_validator

from elspeth.contracts.plugins import PluginContext, Row, RowFailure
from elspeth.plugins.sinks.cells import cell
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions, close_name


class TextSinkOptions(FileSinkOptions):
    """Options of the ``text`` sink."""

    field: str = Field(default="line", min_length=1, description="The field to write.")
    encoding: str = Field(default="utf-8", description="The file's encoding.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError(f"unknown encoding {value!r}: use a name such as utf-8 or cp1252") from None
        return value


class TextSink(FileSink):
    """One field of each row as a line of text (None is an empty line).

    A row without the field fails, and so does one whose text has line breaks: it would be read back
    as several.
    """

    name = "text"
    options_model = TextSinkOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        needed = self.input_schema.required | {self.options.field}
        self.input_schema = replace(self.input_schema, required=needed)

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Write the lines."""
        lines = []
        failures = []
        for index, row in enumerate(rows):
            try:
                lines.append(self._line(row))
            except (ValueError, TypeError) as error:
                failures.append(RowFailure(index, str(error)))
        if lines:
            self._put(b"".join(lines), len(lines))
        return failures

    def _line(self, row: Row) -> bytes:
        field, encoding = self.options.field, self.options.encoding
        if field not in row:
            raise ValueError(f"the row has no field {field!r}{close_name(field, list(row))}")
        text = cell(row[field])
        if "\n" in text or "\r" in text:
            raise ValueError(
                f"field {field!r} has line breaks, so it is not one line; use a json or csv sink"
            )
        try:
            return f"{text}\n".encode(encoding)
        except UnicodeEncodeError as error:
            character = text[error.start]
            raise ValueError(
                f"field {field!r} has the character {character!a}, which is not in {encoding}"
            ) from None
