"""The ``csv`` source: delimited text with a header."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from pydantic import Field, model_validator

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import Quarantined, Row
from elspeth.contracts.schema import FieldType, PluginSchema
from elspeth.plugins.schemas import SAMPLE_ROWS, CellCoercer, Unfit, infer_columns
from elspeth.plugins.sources.base import FileSource, TextFileOptions, quarantine_unfit
from elspeth.plugins.sources.blocks import Block, BlockReader, Encoding, detect_encoding
from elspeth.plugins.sources.columns import cell_columns, known_schema
from elspeth.plugins.sources.csv_records import (
    Record,
    allow_fields_of,
    complete_blocks,
    line_starts,
    records,
)
from elspeth.plugins.sources.headers import field_names
from elspeth.plugins.sources.lines import estimated_lines, line_fault, too_long


class CsvSourceOptions(TextFileOptions):
    """Options of the ``csv`` source."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="What separates the cells.")
    quotechar: str | None = Field(
        default='"', min_length=1, max_length=1, description="What quotes a cell; null: nothing does."
    )
    has_header: bool | None = Field(
        default=None,
        description="Whether the first row holds the column names; default: yes, unless `columns` is given.",
    )
    columns: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of all columns, for files without a header (or in place of it).",
    )
    field_mapping: dict[str, str] = Field(
        default_factory=dict, description="Renames: field name (or heading) → the name to use."
    )
    skip_rows: int = Field(default=0, ge=0, description="How many lines to skip before the header.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.delimiter == self.quotechar:
            raise ValueError("delimiter and quotechar must differ")
        return self


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the head of the file says: names of the columns, and where the data start."""

    reader: BlockReader
    fields: dict[str, str]
    offset: int
    line: int


class CsvSource(FileSource):
    """Rows of a delimited text file, streamed.

    Headings become field names (`original_headers` has what they were). Blank lines are skipped.
    Quarantined, with their line number, are: rows with too few or too many cells, broken quoting,
    bytes that are not in the encoding, NUL characters, over-long fields, and what does not fit the schema.
    """

    name = "csv"
    options_model = CsvSourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._observed: PluginSchema | None = None
        self._dialect: dict[str, Any] = {"delimiter": self.options.delimiter}
        if self.options.quotechar is None:
            self._dialect["quoting"] = csv.QUOTE_NONE
        else:
            self._dialect["quotechar"] = self.options.quotechar

    def size_hint(self) -> int | None:
        """The size of the file divided by the length of its first lines."""
        return estimated_lines(self.path)

    def preview_schema(self) -> PluginSchema:
        """Declared and inferred types of all columns. Raises SourceError."""
        return self._columns(self._layout())[1]

    def observed_schema(self) -> PluginSchema | None:
        """All columns with their types, once reading has begun; None if all types were declared."""
        return self._observed

    def _layout(self) -> _Layout:
        allow_fields_of(self.options.max_field_bytes)
        encoding = detect_encoding(self.path, self.options.encoding)
        reader = BlockReader(self.path, encoding, self.options.max_field_bytes)
        has_header = self.options.has_header
        if has_header is None:
            has_header = self.options.columns is None
        start = self._skip_lines(reader)
        headings: tuple[str, ...] = self.options.columns or ()
        if has_header:
            found, start = self._header(reader, *start)
            if headings and found and len(found) != len(headings):
                raise SourceError(
                    f"{self.path}: `columns` has {len(headings)} names, the header has {len(found)} columns",
                    fix="name every column, in order",
                )
            headings = headings or found
        try:
            fields = field_names(headings, self.options.field_mapping if headings else {})
        except SourceError as error:
            raise SourceError(f"{self.path}: {error.what}", fix=error.fix) from None
        return _Layout(reader, fields, *start)

    def _skip_lines(self, reader: BlockReader) -> tuple[int, int]:
        left = self.options.skip_rows
        offset, line = reader.encoding.bom_bytes, 1
        for block in reader.blocks(offset, 1) if left else ():
            lines = block.lines[:left]
            left -= len(lines)
            line += len(lines)
            offset = block.offset + reader.encoding.size("".join(lines))
            if not left:
                break
        return offset, line

    def _header(self, reader: BlockReader, offset: int, line: int) -> tuple[tuple[str, ...], tuple[int, int]]:
        """The headings, and offset and line of what follows; no headings if there is no line at all."""
        seen = ""
        for block in reader.blocks(offset, line):
            if block.too_long:
                raise SourceError(
                    f"{self.path}: line {block.line} is longer than max_field_bytes",
                    fix="is this a CSV file? Check path and delimiter",
                )
            seen += block.text
            lines = seen.splitlines(keepends=True) if seen is not block.text else list(block.lines)
            for record in records(lines, self._dialect, 0)[0]:
                if record.error:
                    raise SourceError(f"{self.path}: the header cannot be read: {record.error}")
                if not record.cells:
                    continue
                text = "".join(lines[: record.end])
                self._check_header(text, reader.encoding)
                return tuple(record.cells), (offset + reader.encoding.size(text), line + record.end)
        if seen.strip():
            raise SourceError(f"{self.path}: the header has a quote that is never closed")
        return (), (offset, line)

    def _check_header(self, text: str, encoding: Encoding) -> None:
        if bad := encoding.bad_byte(text):
            raise SourceError(
                f"{self.path}: the header has byte 0x{bad[1]:02x}, which is not {encoding.codec}",
                fix="set encoding to what the file was written in, for example cp1252",
            )
        if "\0" in text:
            raise SourceError(
                f"{self.path}: the header has NUL characters",
                fix="is this a text file? If it is UTF-16, set encoding: utf-16",
            )

    def _columns(self, layout: _Layout) -> tuple[CellCoercer, PluginSchema]:
        """The compiled columns, and what they promise."""
        declared = self.options.schema_.to_schema()
        names = tuple(layout.fields)
        if not names:
            return CellCoercer(()), declared
        undeclared = len(names) - sum(spec.name in layout.fields for spec in declared.fields)
        sample = list(islice(self._sample(layout), SAMPLE_ROWS)) if undeclared else []
        types = infer_columns(sample, len(names)) if sample else [FieldType.ANY] * len(names)
        columns = cell_columns(declared, dict(zip(names, types, strict=True)), str(self.path))
        return CellCoercer(columns), known_schema(declared, columns)

    def _sample(self, layout: _Layout) -> Iterator[list[str]]:
        width = len(layout.fields)
        blocks = layout.reader.blocks(layout.offset, layout.line)
        for _, rows, found in complete_blocks(layout.reader, blocks, self._dialect, self._max):
            for cells in [record.cells for record in found] if rows is None else rows:
                if len(cells) == width:
                    yield cells

    @property
    def _max(self) -> int:
        limit: int = self.options.max_field_bytes
        return limit

    def _chunks(self, start: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        layout = self._layout()
        self.original_headers = dict(layout.fields)
        coercer, schema = self._columns(layout)
        self.output_schema = schema
        self._observed = schema
        offset, line = start.get("offset", layout.offset), start.get("line", layout.line)
        blocks = layout.reader.blocks(offset, line)
        for block, rows, found in complete_blocks(layout.reader, blocks, self._dialect, self._max):
            items = self._items(block, rows, found, layout, coercer)
            yield {"offset": block.offset, "line": block.line}, items

    def _items(
        self,
        block: Block,
        rows: list[list[str]] | None,
        found: list[Record],
        layout: _Layout,
        coercer: CellCoercer,
    ) -> list[Row | Quarantined]:
        width = len(layout.fields)
        if rows is not None and block.clean and "\0" not in block.text and len(block.text) <= self._max:
            widths = set(map(len, rows))
            filled = list(filter(None, rows)) if 0 in widths else rows
            if widths <= {0, width}:
                items = coercer.chunk(filled)
                if Unfit in set(map(type, items)):
                    self._quarantine(items, filled, rows, block.line, tuple(layout.fields))
                return items  # type: ignore[return-value]
        if block.too_long:
            return [too_long(block, self._max)]
        if rows is not None:
            found = records(block.lines, self._dialect, len(block.lines))[0]
        return [
            self._item(block, record, layout, coercer) for record in found if record.cells or record.error
        ]

    @staticmethod
    def _quarantine(
        items: list[Any], cells: list[list[str]], rows: list[list[str]], line: int, names: tuple[str, ...]
    ) -> None:
        """Put `Quarantined` in the place of what does not fit (``rows`` has blank ones too)."""
        lines = [at for at, row in zip(line_starts(rows, line), rows, strict=True) if row]
        for index, item in enumerate(items):
            if type(item) is Unfit:
                raw = dict(zip(names, cells[index], strict=True))
                items[index] = Quarantined(raw, item.reason, item.field, lines[index])

    def _item(self, block: Block, record: Record, layout: _Layout, coercer: CellCoercer) -> Row | Quarantined:
        """One record of a block in which something is wrong."""
        line = block.line + record.first
        encoding = layout.reader.encoding
        text = "".join(block.lines[record.first : record.end])
        if record.error:
            return Quarantined({"_raw": encoding.readable(text)}, f"line {line}: {record.error}", None, line)
        names = tuple(layout.fields)
        raw: Row = dict(zip(names, map(encoding.readable, record.cells), strict=False))
        if len(record.cells) > len(names):
            raw["_extra"] = list(map(encoding.readable, record.cells[len(names) :]))
        if not block.clean:
            for index in range(record.first, record.end):
                if fault := line_fault(block, index, encoding):
                    return Quarantined(raw, fault, self._culprit(names, record.cells, encoding), line)
        if len(record.cells) != len(names):
            cells = "1 cell" if len(record.cells) == 1 else f"{len(record.cells)} cells"
            columns = "is 1 column" if len(names) == 1 else f"are {len(names)} columns"
            reason = f"line {line} has {cells}, but there {columns}"
            return Quarantined(raw, reason, None, line)
        for name, cell in zip(names, record.cells, strict=True):
            if "\0" in cell:
                return Quarantined(raw, f"line {line}: field {name!r} has a NUL character", name, line)
            if len(cell) > self._max:
                raw[name] = cell[:200]
                reason = f"line {line}: field {name!r} is longer than max_field_bytes ({self._max:,})"
                return Quarantined(raw, reason, name, line)
        return quarantine_unfit(coercer.row(record.cells), raw, line)

    @staticmethod
    def _culprit(names: tuple[str, ...], cells: list[str], encoding: Encoding) -> str | None:
        return next((name for name, cell in zip(names, cells, strict=False) if encoding.bad_byte(cell)), None)
