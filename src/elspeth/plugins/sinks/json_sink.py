"""The ``json`` sink: an array of objects, or one object per line."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import PluginContext, Row, RowFailure
from elspeth.contracts.schema import SchemaMode
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions
from elspeth.plugins.sinks.json_text import encode_row

_LINE_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")
_TAIL_BYTES = 4096


class JsonSinkOptions(FileSinkOptions):
    """Options of the ``json`` sink."""

    format: Literal["json", "jsonl"] | None = Field(
        default=None,
        description="json: one array of objects; jsonl: one object per line. "
        "Default: jsonl for .jsonl, .ndjson and .jsonlines, else json.",
    )
    headers: Literal["normalized", "original"] | dict[str, str] = Field(
        default="normalized",
        description="The keys: field names, the source's original headings, or a map field → key.",
    )


class JsonSink(FileSink):
    """Rows as JSON objects, in UTF-8, one to a line; the file is an array or JSONL.

    Integers and decimals keep all their digits. Rows that JSON can't hold (NaN, lone surrogates,
    keys that are not text) fail, with the reason.
    """

    name = "json"
    options_model = JsonSinkOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        wanted = self.options.format
        suffix = self._target.suffix.lower()
        self._lines = wanted == "jsonl" if wanted else suffix in _LINE_SUFFIXES
        self._empty = True
        schema = self.input_schema
        fixed = schema.mode is SchemaMode.FIXED
        self._allowed = frozenset(spec.name for spec in schema.fields) if fixed else None

    def position(self) -> Mapping[str, Any]:
        """As for every file sink, and whether a comma is due."""
        return {**super().position(), "empty": self._empty}

    def restore(self, position: Mapping[str, Any]) -> None:
        """As for every file sink."""
        super().restore(position)
        self._empty = bool(position.get("empty", True))

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Write the objects. With a fixed schema, those with other fields fail."""
        objects = []
        failures = []
        names = self._names()
        for index, row in enumerate(rows):
            if self._allowed is not None and not row.keys() <= self._allowed:
                other = next(name for name in row if name not in self._allowed)
                failures.append(RowFailure(index, f"field {other!r} is not in the sink's fixed schema"))
                continue
            try:
                objects.append(encode_row({names.get(k, k): v for k, v in row.items()} if names else row))
            except ValueError as error:
                failures.append(RowFailure(index, str(error)))
        if not objects:
            return failures
        self._ready()
        if self._lines:
            self._put(b"\n".join(objects) + b"\n", len(objects))
        else:
            self._put((b"" if self._empty else b",\n") + b",\n".join(objects), len(objects))
        self._empty = False
        return failures

    def _names(self) -> Mapping[str, str]:
        headers = self.options.headers
        if isinstance(headers, dict):
            return headers
        return self.original_headers if headers == "original" else {}

    def _begin(self) -> None:
        if self._lines:
            if self._part.size and not self._old_tail().endswith(b"\n"):
                self._part.write(b"\n")
        elif self._part.size:
            self._reopen_array()
        else:
            self._part.write(b"[\n")

    def _old_tail(self) -> bytes:
        with open(self._target, "rb") as old:
            old.seek(max(self._part.size - _TAIL_BYTES, 0))
            return old.read()

    def _reopen_array(self) -> None:
        """Go back to before the closing bracket of the array that is appended to."""
        tail = self._old_tail()
        kept = tail.rstrip()
        if not kept.endswith(b"]"):
            raise SinkError(
                f"{self._target} cannot be appended to: it does not end with an array",
                fix="set format: jsonl, or write to another file",
            )
        kept = kept[:-1].rstrip()
        self._part.cut(self._part.size - len(tail) + len(kept))
        self._empty = kept.endswith(b"[")
        if self._empty:
            self._part.write(b"\n")

    def _finish(self) -> None:
        if not self._lines:
            self._part.write(b"]\n" if self._empty else b"\n]\n")
