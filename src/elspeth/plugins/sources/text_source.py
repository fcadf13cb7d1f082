"""The ``text`` source: one row per line."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import Field

from elspeth.contracts.plugins import Quarantined, Row
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema
from elspeth.plugins.schemas import SAMPLE_ROWS, CellCoercer, infer_columns
from elspeth.plugins.schemas.coerce import Column
from elspeth.plugins.sources.base import FileSource, TextFileOptions, quarantine_unfit
from elspeth.plugins.sources.blocks import Block, BlockReader, detect_encoding
from elspeth.plugins.sources.columns import cell_columns, known_schema
from elspeth.plugins.sources.lines import estimated_lines, line_fault, too_long


class TextSourceOptions(TextFileOptions):
    """Options of the ``text`` source."""

    field: str = Field(default="line", min_length=1, description="The field that holds the line.")
    line_number: str | None = Field(
        default=None, min_length=1, description="A field for the line's number (from 1); default: none."
    )


class TextSource(FileSource):
    """The lines of a file, without their line ends, blank ones included.

    As with CSV, lines that all are plain numbers become numbers unless the schema says otherwise.
    Lines that can't be decoded, hold NUL characters or are too long are quarantined.
    """

    name = "text"
    options_model = TextSourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._observed: PluginSchema | None = None

    def size_hint(self) -> int | None:
        """The size of the file divided by the length of its first lines."""
        return estimated_lines(self.path)

    def preview_schema(self) -> PluginSchema:
        """The type of the line, declared or inferred. Raises SourceError."""
        return self._columns(self._reader())[1]

    def observed_schema(self) -> PluginSchema | None:
        """The fields with their types, once reading has begun."""
        return self._observed

    def _reader(self) -> BlockReader:
        encoding = detect_encoding(self.path, self.options.encoding)
        return BlockReader(self.path, encoding, self.options.max_field_bytes)

    def _columns(self, reader: BlockReader) -> tuple[CellCoercer, PluginSchema]:
        declared = self.options.schema_.to_schema()
        lines = (line.rstrip("\r\n") for block in reader.blocks(0, 1) for line in block.lines)
        kinds = infer_columns([[line] for line in islice(lines, SAMPLE_ROWS)], 1)
        fields = {self.options.field: kinds[0]}
        if self.options.line_number:
            fields[self.options.line_number] = FieldType.INT
        columns = cell_columns(declared, fields, str(self.path))
        coercer = CellCoercer(columns[:1])
        if self.options.line_number:
            columns[1] = Column(FieldSpec(self.options.line_number, FieldType.INT))
        return coercer, known_schema(declared, columns)

    def _chunks(self, start: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        reader = self._reader()
        coercer, self._observed = self._columns(reader)
        self.output_schema = self._observed
        for block in reader.blocks(start.get("offset", 0), start.get("line", 1)):
            yield {"offset": block.offset, "line": block.line}, self._items(block, reader, coercer)

    def _items(self, block: Block, reader: BlockReader, coercer: CellCoercer) -> list[Row | Quarantined]:
        if block.too_long:
            return [too_long(block, self.options.max_field_bytes)]
        field, number = self.options.field, self.options.line_number
        cells = [[line.rstrip("\r\n")] for line in block.lines]
        items: list[Row | Quarantined] = []
        odd = not block.clean or "\0" in block.text
        for index, row in enumerate(coercer.chunk(cells)):
            line = block.line + index
            if odd and (fault := line_fault(block, index, reader.encoding)):
                items.append(
                    Quarantined({field: reader.encoding.readable(cells[index][0])}, fault, field, line)
                )
                continue
            if number and isinstance(row, dict):
                row[number] = line
            items.append(quarantine_unfit(row, {field: cells[index][0]}, line))
        return items
