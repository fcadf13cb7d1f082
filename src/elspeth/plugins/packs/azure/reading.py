"""The rows of one blob that was fetched."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import PluginContext, Quarantined, Row
from elspeth.contracts.schema import FieldType
from elspeth.plugins.packs.azure.fetching import Fetched
from elspeth.plugins.packs.azure.source_options import READERS, AzureBlobSourceOptions
from elspeth.plugins.schemas import RowCoercer
from elspeth.plugins.sources.base import FileSource, settle
from elspeth.plugins.sources.json_source import JsonSource
from elspeth.plugins.sources.json_values import ExactDecoder

_LINES = (".jsonl", ".ndjson", ".jsonlines")
_SPACE = b" \t\r\n"
_DEPTH: int = JsonSource.options_model.model_fields["max_depth"].default
CONTENT = "_blob_content"
Item = Row | Quarantined


class BlobReader:
    """Chooses how to read a blob, and reads it with the local source for that format."""

    def __init__(self, options: AzureBlobSourceOptions) -> None:
        self._options = options
        self._schema = options.schema_.model_dump(mode="json")
        self._coercer = RowCoercer(options.schema_.to_schema())
        self._inner: FileSource | None = None
        self._decoder = ExactDecoder(options.max_depth or _DEPTH) if _is_plain(options) else None
        self.original_headers: Mapping[str, str] = {}

    def rows(self, blob: Fetched, position: Mapping[str, Any]) -> Iterator[Item]:
        """The rows from ``position`` on (empty: all). Raises SourceError for what can't be read on."""
        self._inner = None
        if position.get("done"):
            return
        form = self._format(blob)
        if form == "raw":
            yield self._content(blob)
            return
        if form == "json" and not position and (row := self._object(blob.data)) is not None:
            yield row
            return
        strict = self._options.format is not None
        inner = self._inner = READERS[form](self._options_for(form, blob.file()))
        if position:
            inner.seek(position)
        given = bool(position)
        try:
            inner.on_start(PluginContext())
            for item in inner.load(PluginContext()):
                given = True
                self.original_headers = inner.original_headers
                yield item
        except SourceError:
            if strict or given:
                raise
            # It only looked like JSON.
            self._inner = None
            yield self._content(blob)

    def position(self) -> Mapping[str, Any]:
        """Behind the row that came last."""
        return {"done": True} if self._inner is None else self._inner.position()

    def _options_for(self, form: str, path: Path) -> dict[str, Any]:
        given = {**self._options.reader_options(), "schema": self._schema, "path": str(path)}
        if form in ("json", "jsonl"):
            given["format"] = form
        return given

    def _object(self, data: bytes | None) -> Item | None:
        """The row of a small blob that is one good JSON object; None for whatever else it may be."""
        decoder = self._decoder
        if data is None or data[:1] != b"{" or decoder is None:
            return None
        try:
            text = data.decode()
            value, end = decoder.decode(text)
        except (ValueError, RecursionError):
            return None
        if text[end:].strip(" \t\r\n") or decoder.fault(value, text):
            return None
        return settle(self._coercer, [(value, None)])[0]

    def _format(self, blob: Fetched) -> str:
        options = self._options
        if options.format is not None:
            return options.format
        if not options.parse_json:
            return "raw"
        if blob.info.name.lower().endswith(_LINES):
            return "jsonl"
        head = blob.head(4096).removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
        return "json" if head[:1] in (b"{", b"[") else "raw"

    def _content(self, blob: Fetched) -> Item:
        size = blob.path.stat().st_size if blob.data is None else len(blob.data)
        if size > self._options.max_content_bytes:
            limit = self._options.max_content_bytes
            reason = f"the blob has {size:,} bytes, and one row may have {limit:,} (max_content_bytes)"
            return Quarantined({"_size": size}, reason)
        data = blob.path.read_bytes() if blob.data is None else blob.data
        try:
            content: str | bytes = data.decode(self._options.encoding or "utf-8")
        except UnicodeDecodeError:
            content = data
        return settle(self._coercer, [({CONTENT: content}, None)])[0]


def _is_plain(options: AzureBlobSourceOptions) -> bool:
    """Whether a JSON object in UTF-8 is a row just as it is."""
    decimals = any(spec.type is FieldType.DECIMAL for spec in options.schema_.to_schema().fields)
    given = options.reader_options().keys() - {"max_depth"}
    return not given and not decimals
