"""The ``json`` source: a JSON array of objects, or one JSON object per line."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal

from pydantic import Field

from elspeth.contracts.plugins import Quarantined, Row
from elspeth.contracts.schema import FieldType, PluginSchema
from elspeth.plugins.schemas import RowCoercer
from elspeth.plugins.sources.base import FileSource, TextFileOptions, settle
from elspeth.plugins.sources.blocks import Block, BlockReader, Encoding, detect_encoding
from elspeth.plugins.sources.json_array import ArrayReader, Element
from elspeth.plugins.sources.json_values import ExactDecoder, settle_decimals
from elspeth.plugins.sources.lines import estimated_lines, line_fault, too_long

_CHUNK_ROWS = 500
_LINE_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")


class JsonSourceOptions(TextFileOptions):
    """Options of the ``json`` source."""

    format: Literal["json", "jsonl"] | None = Field(
        default=None,
        description="json: one array of objects (or one object); jsonl: one object per line. "
        "Default: jsonl for .jsonl, .ndjson and .jsonlines, else json.",
    )
    data_key: str | None = Field(
        default=None,
        min_length=1,
        description="With format json: the key that holds the array; dots lead into nested objects.",
    )
    field_mapping: dict[str, str] = Field(default_factory=dict, description="Renames: key → the name to use.")
    max_depth: int = Field(
        default=100, gt=0, le=500, description="Rows nested deeper than this are quarantined."
    )


class JsonSource(FileSource):
    """Objects of a JSON file, streamed: an array is never loaded as a whole.

    Integers of any size are exact; a number with a point is a float if that is exact, else a
    decimal. Quarantined are: NaN and Infinity, keys that occur twice, lone surrogates, undecodable
    bytes, what is nested too deep, what is not an object, and (JSONL) broken lines. In an array broken
    JSON is a SourceError, because what follows it can't be told from it.
    """

    name = "json"
    options_model = JsonSourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._coercer = RowCoercer(self.output_schema)
        self._decimals = frozenset(
            spec.name for spec in self.output_schema.fields if spec.type is FieldType.DECIMAL
        )

    @property
    def is_lines(self) -> bool:
        """Whether the file has one object per line."""
        if self.options.format:
            return bool(self.options.format == "jsonl")
        return self.path.suffix.lower() in _LINE_SUFFIXES

    def size_hint(self) -> int | None:
        """For JSONL the size of the file divided by the length of its first lines."""
        return estimated_lines(self.path) if self.is_lines else None

    def preview_schema(self) -> PluginSchema:
        """What is declared; the first rows are read to see that they can be. Raises SourceError."""
        next(self._chunks({}), None)
        return self.output_schema

    def _chunks(self, start: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        encoding = detect_encoding(self.path, self.options.encoding)
        decoder = ExactDecoder(self.options.max_depth, decimals=bool(self._decimals))
        if self.is_lines:
            yield from self._line_chunks(start, encoding, decoder)
        else:
            yield from self._array_chunks(start, encoding, decoder)

    def _line_chunks(
        self, start: Mapping[str, Any], encoding: Encoding, decoder: ExactDecoder
    ) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        reader = BlockReader(self.path, encoding, self.options.max_field_bytes)
        for block in reader.blocks(start.get("offset", 0), start.get("line", 1)):
            if block.too_long:
                items: list[Row | Quarantined] = [too_long(block, self.options.max_field_bytes)]
            else:
                rows = [
                    (self._line(block, index, encoding, decoder), block.line + index)
                    for index, text in enumerate(block.lines)
                    if not text.isspace()
                ]
                items = settle(self._coercer, rows)
            yield {"offset": block.offset, "line": block.line}, items

    def _line(self, block: Block, index: int, encoding: Encoding, decoder: ExactDecoder) -> Row | Quarantined:
        text = block.lines[index].strip(" \t\r\n")
        odd = not block.clean or "\0" in text
        if not (odd and (fault := line_fault(block, index, encoding))):
            try:
                value, end = decoder.decode(text)
            except json.JSONDecodeError as error:
                fault = f"is not JSON: {error.msg} at column {error.colno}"
            except RecursionError:
                fault = "is nested too deep"
            except ValueError as error:
                fault = f"cannot be read: {error}"
            else:
                if end != len(text):
                    fault = f"has more text behind the JSON value, at column {end + 1}"
                else:
                    fault = decoder.fault(value, text)
                if not fault:
                    return self._row(value, block.line + index)
            fault = f"line {block.line + index} {fault}"
        return Quarantined({"_raw": encoding.readable(text)}, fault, None, block.line + index)

    def _array_chunks(
        self, start: Mapping[str, Any], encoding: Encoding, decoder: ExactDecoder
    ) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        reader = ArrayReader(self.path, encoding, decoder, self.options.max_field_bytes)
        key = self.options.data_key
        number = start.get("row", 0)
        elements = islice(reader.elements(tuple(key.split(".")) if key else ()), number, None)
        while chunk := list(islice(elements, _CHUNK_ROWS)):
            rows = [(self._array_item(element, number + at), None) for at, element in enumerate(chunk, 1)]
            yield {"row": number}, settle(self._coercer, rows)
            number += len(chunk)

    def _array_item(self, element: Element, number: int) -> Row | Quarantined:
        if element.value is None:
            return Quarantined({"_raw": element.text}, f"element {number} {element.fault}")
        return self._row(element.value)

    def _row(self, value: Row, line: int | None = None) -> Row | Quarantined:
        row = value
        if mapping := self.options.field_mapping:
            row = {mapping.get(name, name): item for name, item in value.items()}
            if len(row) != len(value):
                return Quarantined(
                    settle_decimals(value), "field_mapping gives two fields one name", None, line
                )
        if self._decimals:
            exact = self._decimals
            return {name: item if name in exact else settle_decimals(item) for name, item in row.items()}
        return row
