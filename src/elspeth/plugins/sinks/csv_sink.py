"""The ``csv`` sink: delimited text with a header."""

import codecs
import csv
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import PluginContext, Row, RowFailure
from elspeth.contracts.schema import PluginSchema, SchemaMode
from elspeth.plugins.sinks.cells import cell
from elspeth.plugins.sinks.csv_text import CsvText
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions, close_name


class CsvSinkOptions(FileSinkOptions):
    """Options of the ``csv`` sink."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="What separates the cells.")
    quotechar: str = Field(
        default='"', min_length=1, max_length=1, description="What quotes a cell if need be."
    )
    encoding: str = Field(default="utf-8", description="The file's encoding; utf-8-sig begins with a mark.")
    headers: Literal["normalized", "original"] | dict[str, str] = Field(
        default="normalized",
        description="The header row: field names, the source's original headings, or a map field → heading.",
    )
    escape_formulas: bool = Field(
        default=False,
        description="Put an apostrophe before text that a spreadsheet would run (= + - @, tab or CR first).",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError(f"unknown encoding {value!r}: use a name such as utf-8 or cp1252") from None
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.delimiter == self.quotechar:
            raise ValueError("delimiter and quotechar must differ")
        return self


class CsvSink(FileSink):
    """Rows as delimited text.

    The columns are those of ``schema.fields``; unless the schema is fixed, further ones come from
    the first row (with ``append``: from the file). It is the first row alone, because how many rows
    come with the first `write` depends on the clock, and the output must not. A field that is
    missing later is an empty cell; a field that has no column fails its row, with the reason. If no row
    comes, the header has the fields that are known from the pipeline file and the input's own header.
    Values are written as `elspeth.plugins.sinks.cells.cell` says. Lines end with a line feed.
    """

    name = "csv"
    options_model = CsvSinkOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._names: list[str] = []
        self._known: frozenset[str] = frozenset()
        self._text = CsvText(
            self.options.delimiter, self.options.quotechar, escape_formulas=self.options.escape_formulas
        )
        codec = codecs.lookup(self.options.encoding).name
        # Only the very first bytes of a file may be a byte order mark.
        self._mark = codec in ("utf-8-sig", "utf-16", "utf-32")
        self._codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(codec, codec)

    def position(self) -> Mapping[str, Any]:
        """As for every file sink, and the columns."""
        return {**super().position(), "columns": self._names}

    def restore(self, position: Mapping[str, Any]) -> None:
        """As for every file sink."""
        super().restore(position)
        self._set_columns(list(position.get("columns", ())))

    def _set_columns(self, names: list[str]) -> None:
        self._names = names
        self._known = frozenset(names)

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Write the rows; those with unknown fields or characters outside the encoding fail."""
        if not rows:
            return ()
        if not self._part.is_open:
            self._choose_columns(rows)
            self._ready()
        try:
            if set(map(len, rows)) != {len(self._names)}:
                return self._write_each(rows)
            columns = [list(map(itemgetter(name), rows)) for name in self._names]
            data = self._text.lines(columns).encode(self._codec)
        except (KeyError, TypeError, ValueError):
            return self._write_each(rows)
        self._put(data, len(rows))
        return ()

    def _write_each(self, rows: Sequence[Row]) -> list[RowFailure]:
        failures = []
        good: list[bytes] = []
        for index, row in enumerate(rows):
            if row.keys() <= self._known:
                try:
                    good.append(
                        self._text.lines([[row.get(name)] for name in self._names]).encode(self._codec)
                    )
                    continue
                except (TypeError, ValueError):
                    reason = self._why_not(row)
            else:
                reason = self._unknown_field(row)
            failures.append(RowFailure(index, reason))
        if good:
            self._put(b"".join(good), len(good))
        return failures

    def _why_not(self, row: Row) -> str:
        for name, value in row.items():
            try:
                cell(value).encode(self._codec)
            except UnicodeEncodeError as error:
                character = value[error.start] if isinstance(value, str) else "?"
                return (
                    f"field {name!r} has the character {character!a}, which is not in {self.options.encoding}"
                )
            except (TypeError, ValueError) as error:
                return f"field {name!r}: {error}"
        return "the row cannot be written as CSV"

    def _unknown_field(self, row: Row) -> str:
        name = next(key for key in row if key not in self._known)
        return (
            f"field {name!r} has no column in {self._target.name}{close_name(name, self._names)}: it has "
            f"{', '.join(self._names)}; declare all of them in the sink's schema.fields"
        )

    def _choose_columns(self, rows: Sequence[Row]) -> None:
        existing = self._existing_columns()
        if existing:
            self._set_columns(existing)
            return
        names = dict.fromkeys(spec.name for spec in self.input_schema.fields)
        if self.input_schema.mode is not SchemaMode.FIXED:
            names.update(dict.fromkeys(rows[0]))
        self._set_columns(list(names))

    def _expected(self) -> PluginSchema:
        """What the columns are if no row says so."""
        seen = self.expected_schema
        declared = self.input_schema.fields
        return self.input_schema if declared or seen.mode is not SchemaMode.FIXED else seen

    def _headings(self, names: Sequence[str]) -> list[str]:
        headers = self.options.headers
        if headers == "normalized":
            return list(names)
        mapping = self.original_headers if headers == "original" else headers
        return [mapping.get(name, name) for name in names]

    def _existing_columns(self) -> list[str]:
        """The fields behind the header of the file that is appended to; none if there is no such file."""
        if self.options.policy != "append_or_create" or not self._target.exists():
            return []
        encoding = self.options.encoding
        try:
            with open(
                self._target, encoding="utf-8-sig" if self._codec == "utf-8" else encoding, newline=""
            ) as old:
                headings = next(
                    csv.reader(old, delimiter=self.options.delimiter, quotechar=self.options.quotechar), []
                )
        except (UnicodeDecodeError, csv.Error, OSError) as error:
            raise SinkError(f"the header of {self._target} cannot be read: {error}") from error
        if self.options.headers == "normalized":
            return headings
        mapping = self.original_headers if self.options.headers == "original" else self.options.headers
        fields = {heading: name for name, heading in mapping.items()}
        return [fields.get(heading, heading) for heading in headings]

    def _begin(self) -> None:
        if self._part.size:
            self._end_last_line()
            return
        mark = "\ufeff" if self._mark else ""
        if not self._names:
            self._set_columns([spec.name for spec in self._expected().fields])
        headings = [[heading] for heading in self._headings(self._names)]
        try:
            self._part.write((mark + (self._text.lines(headings) if headings else "")).encode(self._codec))
        except UnicodeEncodeError as error:
            raise SinkError(
                f"the header of {self._target} cannot be written in {self.options.encoding}: {error}",
                fix="use encoding: utf-8, or headers: normalized",
            ) from error

    def _end_last_line(self) -> None:
        newline = "\n".encode(self._codec)
        with open(self._target, "rb") as old:
            old.seek(-len(newline), 2)
            if old.read() != newline:
                self._part.write(newline)
