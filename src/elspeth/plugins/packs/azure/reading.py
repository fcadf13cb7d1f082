"""The rows of one blob that is in a file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import PluginContext, Quarantined, Row
from elspeth.plugins.packs.azure.source_options import READERS, AzureBlobSourceOptions
from elspeth.plugins.schemas import RowCoercer
from elspeth.plugins.sources.base import FileSource, settle

_LINES = (".jsonl", ".ndjson", ".jsonlines")
_SPACE = b" \t\r\n"
CONTENT = "_blob_content"
Item = Row | Quarantined


class BlobReader:
    """Chooses how to read a blob, and reads it with the local source for that format."""

    def __init__(self, options: AzureBlobSourceOptions) -> None:
        self._options = options
        self._schema = options.schema_.model_dump(mode="json")
        self._coercer = RowCoercer(options.schema_.to_schema())
        self._inner: FileSource | None = None
        self.original_headers: Mapping[str, str] = {}

    def rows(self, name: str, path: Path, position: Mapping[str, Any]) -> Iterator[Item]:
        """The rows from ``position`` on (empty: all). Raises SourceError for what can't be read on."""
        self._inner = None
        if position.get("done"):
            return
        form = self._format(name, path)
        if form == "raw":
            yield self._content(path)
            return
        strict = self._options.format is not None
        inner = self._inner = READERS[form](self._options_for(form, path))
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
            yield self._content(path)

    def position(self) -> Mapping[str, Any]:
        """Behind the row that came last."""
        return {"done": True} if self._inner is None else self._inner.position()

    def _options_for(self, form: str, path: Path) -> dict[str, Any]:
        given = {**self._options.reader_options(), "schema": self._schema, "path": str(path)}
        if form in ("json", "jsonl"):
            given["format"] = form
        return given

    def _format(self, name: str, path: Path) -> str:
        options = self._options
        if options.format is not None:
            return options.format
        if not options.parse_json:
            return "raw"
        if name.lower().endswith(_LINES):
            return "jsonl"
        with open(path, "rb") as file:
            head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
        return "json" if head[:1] in (b"{", b"[") else "raw"

    def _content(self, path: Path) -> Item:
        size = path.stat().st_size
        if size > self._options.max_content_bytes:
            limit = self._options.max_content_bytes
            reason = f"the blob has {size:,} bytes, and one row may have {limit:,} (max_content_bytes)"
            return Quarantined({"_size": size}, reason)
        data = path.read_bytes()
        try:
            content: str | bytes = data.decode(self._options.encoding or "utf-8")
        except UnicodeDecodeError:
            content = data
        return settle(self._coercer, [({CONTENT: content}, None)])[0]
