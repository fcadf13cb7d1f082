"""The ``azure_blob`` source: rows of blobs (extra ``azure``)."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import PluginContext, Quarantined, Row
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.packs.azure.fetching import Fetched, Fetcher
from elspeth.plugins.packs.azure.probing import READER, probe
from elspeth.plugins.packs.azure.reading import BlobReader
from elspeth.plugins.packs.azure.record import CallBook
from elspeth.plugins.packs.azure.source_options import AzureBlobSourceOptions
from elspeth.plugins.sources.base import BaseSource
from elspeth.providers.azure_blob.cache import BlobCache
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobError, BlobNotFoundError
from elspeth.providers.azure_blob.info import BlobInfo

# Errors of one blob; all others are errors of the account, and stop the run.
_OF_ONE_BLOB = frozenset({"not_found", "changed", "archived", "conflict", "leased"})
_TYPES = {"name": FieldType.STR, "index": FieldType.INT, "etag": FieldType.STR, "version": FieldType.STR}


class AzureBlobSource(BaseSource):
    """Rows of blobs, blob by blob in the order of their names, fetched ahead.

    Every row has `_blob_name`, and by default its place in the blob and the ETag it was read from. A blob is
    read as it was when it was listed: one that changes, is gone, archived or broken is quarantined by
    itself, with the reason, and the rows before the fault stay. Column types that are not declared
    are found for each blob by itself.
    """

    name = "azure_blob"
    determinism: ClassVar[Determinism] = Determinism.IO_DEPENDENT
    options_model = AzureBlobSourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._fields = ("name", *(one for one in self.options.blob_fields if one != "name"))
        self.output_schema = self._promised(self.output_schema)
        self._client: AzureBlobClient | None = None
        self._book: CallBook | None = None
        self._fetcher: Fetcher | None = None
        self._reader = BlobReader(self.options)
        self._start: Mapping[str, Any] = {}
        self._at: dict[str, Any] = {}
        self._reading = False

    def _promised(self, declared: PluginSchema) -> PluginSchema:
        specs = [FieldSpec(f"_blob_{one}", _TYPES[one], required=one != "version") for one in self._fields]
        if declared.mode is SchemaMode.OBSERVED:
            sure = frozenset(spec.name for spec in specs if spec.required)
            return PluginSchema(declared.mode, declared.fields, declared.guaranteed | sure, declared.required)
        return PluginSchema(declared.mode, (*declared.fields, *specs), declared.guaranteed, declared.required)

    def check(self) -> list[str]:
        """Whether what the options need is installed."""
        if self.options.quick_reads and find_spec("obstore") is None:
            return ['quick_reads needs obstore: pip install "elspeth[smallblobs]"']
        return []

    def on_start(self, ctx: PluginContext) -> None:
        """Nothing connects before the first row. Raises SourceError if something is not installed."""
        options = self.options
        if problems := self.check():
            raise SourceError(problems[0])
        self._book = CallBook(ctx)
        self._client = AzureBlobClient.from_login(
            options.login(),
            on_call=self._book.note,
            pace=options.pace(),
        )
        directory = options.cache_directory
        cache = BlobCache(Path(directory), options.cache_bytes) if directory else None
        self._fetcher = Fetcher(
            self._client, options.prefetch, options.prefetch_bytes, cache=cache, quick=options.quick_reads
        )

    def close(self) -> None:
        """Stop fetching, remove the temporary files, put the last calls on record."""
        for part in (self._fetcher, self._client, self._book):
            if part is not None:
                part.close()
        self._fetcher = self._client = self._book = None

    def identity(self) -> Mapping[str, Any]:
        """Account, container and pattern."""
        options = self.options
        return {
            "account": options.login().account(),
            "container": options.container,
            "blobs": options.blob_path or options.blob_pattern,
        }

    def probe(self) -> str:
        """Which identity was tried, and that it may read. Raises PluginError if it may not."""
        container = self.options.container
        return probe(self.options, lambda client: client.may_read(container), READER)

    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        """Yield the rows. Raises SourceError where the account can't be read at all."""
        if self._fetcher is None:
            self.on_start(ctx)
        fetcher, book = self._fetcher, self._book
        assert fetcher is not None
        assert book is not None
        try:
            for fetched in fetcher.fetch(self._blobs()):
                book.write(wait=False)
                yield from self._rows(fetched)
            if start := self._start:
                self._start = {}
                yield from self._lost(start)
        except BlobError as error:
            raise SourceError(error.what, fix=error.fix) from error
        finally:
            book.write(wait=False)

    def _blobs(self) -> Iterator[BlobInfo]:
        """What is to be read, from the start position on."""
        assert self._client is not None
        options = self.options
        first = self._start.get("blob", "")
        if options.blob_path:
            try:
                yield self._client.get_blob_properties(options.container, options.blob_path)
            except BlobNotFoundError as error:
                raise SourceError(f"there is no blob {error.target}", fix="correct blob_path") from error
            return
        for info in self._client.list_blobs(options.container, options.prefix or None):
            if info.name >= first and options.wants(info.name):
                yield info

    def _rows(self, fetched: Fetched) -> Iterator[Row | Quarantined]:
        info = fetched.info
        start, self._start = self._start, {}
        if start and start["blob"] != info.name:
            yield from self._lost(start)
            start = {}
        self._at = {"blob": info.name, "etag": info.etag, "index": 0, "inner": {}, "done": False, **start}
        if self._at["done"]:
            return
        self._at["done"] = True
        if start and start["etag"] != info.etag:
            yield self._bad(info, f"it has changed since {start['index']} rows of it were read")
        elif fetched.error is None:
            self._at["done"] = False
            yield from self._read(fetched)
        elif fetched.error.reason in _OF_ONE_BLOB:
            yield self._bad(info, f"{fetched.error.what}; {fetched.error.fix}")
        else:
            raise fetched.error

    def _read(self, blob: Fetched) -> Iterator[Row | Quarantined]:
        info = blob.info
        told = self._told(info)
        counts = "index" in self._fields
        at = self._at
        index = at["index"]
        try:
            for item in self._reader.rows(blob, at["inner"]):
                if counts:
                    told["_blob_index"] = index
                index += 1
                at["index"] = index
                self._reading = True
                if isinstance(item, dict):
                    yield {**item, **told}
                else:
                    yield Quarantined({**item.raw, **told}, item.reason, item.field, item.line)
        except SourceError as error:
            self._reading, at["done"] = False, True
            # The local source speaks of its temporary file.
            what = error.what.replace(f"{blob.path}: ", "").replace(str(blob.path), "it")
            yield self._bad(info, f"{what} (after {index} rows){'; ' + error.fix if error.fix else ''}")
        self._reading = False
        self.original_headers = self._reader.original_headers

    def _told(self, info: BlobInfo) -> dict[str, Any]:
        """What every row of a blob is told, its place in it aside."""
        facts = {"name": info.name, "etag": info.etag, "version": info.version_id or None}
        return {f"_blob_{one}": facts[one] for one in self._fields if one in facts}

    def _bad(self, info: BlobInfo, reason: str) -> Quarantined:
        return Quarantined({**self._told(info), "_blob_size": info.size}, f"blob {info.name}: {reason}")

    def _lost(self, start: Mapping[str, Any]) -> Iterator[Quarantined]:
        """The blob in whose middle a run was killed is not there any more."""
        if not start["done"]:
            reason = f"blob {start['blob']}: it is gone, after {start['index']} rows of it were read"
            yield Quarantined({"_blob_name": start["blob"]}, reason)

    def position(self) -> Mapping[str, Any]:
        """The blob with its ETag, and the place in it behind the row that came last."""
        if self._reading:
            return {**self._at, "inner": dict(self._reader.position())}
        return dict(self._at or self._start)

    def seek(self, position: Mapping[str, Any]) -> None:
        """Start behind the row after which ``position`` was taken, in the middle of its blob."""
        self._start = dict(position)
        self._at = {}
