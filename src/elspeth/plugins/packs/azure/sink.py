"""The ``azure_blob`` sink: rows into blobs (extra ``azure``)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.plugins.packs.azure.blob_part import Place, made_by_run
from elspeth.plugins.packs.azure.context import ids_of, text, tokens_of
from elspeth.plugins.packs.azure.many_blobs import ManyBlobs
from elspeth.plugins.packs.azure.names import BlobName
from elspeth.plugins.packs.azure.one_blob import OneBlob, open_blob
from elspeth.plugins.packs.azure.parts import BlobParts, PartMaker
from elspeth.plugins.packs.azure.probing import CONTRIBUTOR, probe
from elspeth.plugins.packs.azure.record import CallBook
from elspeth.plugins.packs.azure.sink_options import CONTENT_TYPES, AzureBlobSinkOptions
from elspeth.plugins.sinks.base import BaseSink
from elspeth.plugins.sinks.cells import cell
from elspeth.plugins.sinks.json_text import encode_row
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.errors import BlobError, BlobExistsError

_SPOOL = Path(".elspeth") / "azure"


class AzureBlobSink(BaseSink):
    """Rows into Azure Blob Storage: a blob per row (`blob_name_template`), or per run or so many rows.

    One per run: what was written is staged at every commit, and becomes visible in one step at the end;
    a resumed run goes on behind what was committed. One per row: names must be good and different, else
    the row fails. Every storage call is on record. With `overwrite: false` a blob that exists stops the run.

    Used without an engine (rows without `ctx.tokens`), `flush` and `close` make the blob visible.
    """

    name = "azure_blob"
    determinism: ClassVar[Determinism] = Determinism.IO_DEPENDENT
    idempotent: ClassVar[bool] = True
    options_model = AzureBlobSinkOptions
    completes_by_hand: ClassVar[bool] = True
    """Whether rows that no engine commits are made visible by `flush` and `close`."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._timestamp = ""
        self._run_id = ""
        self._node_id = ""
        self._client: AzureBlobClient | None = None
        self._book: CallBook | None = None
        self._one: OneBlob | None = None
        self._many: ManyBlobs | None = None
        self._blob_checked = False
        self._by_hand = False
        self._published = False
        self._restored = False

    # Start and end.

    def on_start(self, ctx: PluginContext) -> None:
        """Raises SinkError if the container can't be reached or made."""
        self._run_id = text(ctx, "run_id")
        self._node_id = text(ctx, "node_id") or self.name
        self._timestamp = self._timestamp or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._book = CallBook(ctx)
        self._client = AzureBlobClient.from_login(
            self.options.login(),
            on_call=self._book.note,
            pace=self.options.pace(),
        )
        if self.options.create_container:
            with self._on_record(ctx):
                self._client.create_container(self.options.container)
        self._open()

    def _open(self) -> None:
        options = self.options
        if options.blob_name_template:
            self._many = ManyBlobs(self._place(""), options.name(), self._encoder(), options.concurrency)
            return
        directory = _SPOOL / f"{self._run_id or 'run'}-{self._node_id}"
        inner = {"schema": options.schema_.model_dump(mode="json"), **options.format_options()}
        if options.rows_per_blob:
            maker = PartMaker(self._numbered, options.form, inner, directory, options.rows_per_blob)
            self._one = BlobParts(maker)
            return
        self._one = open_blob(options.form, inner, self._place(self._blob_name()), directory)
        self._one.on_start(PluginContext(run_id=self._run_id, node_id=self._node_id))

    def _blob_name(self, **more: str) -> str:
        name: BlobName = self.options.name()
        return name.render({}, {**self._run_variables(), **more})

    def _numbered(self, part: int) -> Place:
        return self._place(self._blob_name(part=f"{part:05d}"))

    def _place(self, blob: str) -> Place:
        assert self._client is not None
        options = self.options
        return Place(
            self._client,
            options.container,
            blob,
            self._run_id,
            options.block_size,
            overwrite=options.overwrite,
            content_type=options.content_type or CONTENT_TYPES[options.form],
            metadata=options.metadata,
            tags={name: value.replace("{run_id}", self._run_id) for name, value in options.tags.items()},
        )

    def _run_variables(self) -> dict[str, str]:
        return {"run_id": self._run_id, "timestamp": self._timestamp}

    def _encoder(self) -> Any:
        if self.options.form == "json":
            return encode_row
        field, encoding = self.options.field or "line", self.options.encoding or "utf-8"

        def text(row: Row) -> bytes:
            if field not in row:
                raise ValueError(f"the row has no field {field!r}")
            return cell(row[field]).encode(encoding)

        return text

    def close(self) -> None:
        """Release everything. What no engine will publish is made visible, if it was used by hand."""
        try:
            if self._by_hand and not self._published and self._one is not None:
                self._by_hand = False
                self.publish()
        finally:
            for part in (self._one, self._many, self._client):
                if part is not None:
                    part.close()
            self._one = self._many = self._client = None
            book, self._book = self._book, None
            if book is not None:
                book.close()

    # Rows.

    def write(self, rows: Sequence[Row] | Row, ctx: PluginContext) -> Sequence[RowFailure]:
        """Take one row or several. Raises SinkError where a blob is in the way, or the service fails."""
        if self._client is None:
            self.on_start(ctx)
        batch = [rows] if isinstance(rows, dict) else rows
        unseen, self._by_hand = self._by_hand, False
        failures: Sequence[RowFailure]
        with self._on_record(ctx):
            if self._many is not None:
                variables = [self._variables(ctx, at, len(batch)) for at in range(len(batch))]
                failures = self._many.write(batch, variables, repeats=bool(tokens_of(ctx)))
            else:
                assert self._one is not None
                self._require_absent()
                self._one.original_headers = self.original_headers
                failures = self._one.write(batch, ctx)
        if not tokens_of(ctx):
            self._by_hand = unseen or (self.completes_by_hand and bool(batch))
        return failures

    def _variables(self, ctx: PluginContext, index: int, rows: int) -> dict[str, str]:
        known = {
            **self._run_variables(),
            "run_id": text(ctx, "run_id") or self._run_id,
            **ids_of(ctx, index, rows),
        }
        missing = [name for name in ("row_id", "token_id") if name in self.options.name().variables]
        missing = [name for name in missing if name not in known]
        if missing:
            raise SinkError(
                f"blob_name_template has {{{missing[0]}}}, but the context does not tell it of every row",
                fix="give ctx.token (one row) or ctx.tokens (a list, one for each row)",
            )
        return known

    def _require_absent(self) -> None:
        """Find out before the work what the commit would find out after it."""
        if self._blob_checked or self.options.overwrite or self.options.rows_per_blob:
            return
        assert self._client is not None
        self._blob_checked = True
        place = self._place(self._blob_name())
        if not (self._restored and made_by_run(place)):
            self._client.require_absent(place.container, place.blob)

    def flush(self) -> None:
        """Stage what was written: it survives the death of this process."""
        if self._one is None:
            return
        by_hand, self._by_hand = self._by_hand, False
        with self._on_record():
            self._one.flush()
            if by_hand:
                self._one.show()
        self._by_hand = by_hand

    # Positions.

    def position(self) -> Mapping[str, Any]:
        """What was staged, or how many blobs were written; valid after `flush`."""
        facts: Mapping[str, Any] = {}
        if self._many is not None:
            facts = self._many.position()
        elif self._one is not None:
            facts = self._one.position()
        return {"timestamp": self._timestamp, "inner": dict(facts)}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on behind a position. Raises SinkError if what was staged is gone."""
        if position.get("timestamp", self._timestamp) != self._timestamp and self._client is not None:
            self._timestamp = position["timestamp"]
            for part in (self._one, self._many):
                if part is not None:
                    part.close()
            self._one = self._many = None
            self._open()
        inner = position.get("inner") or {}
        self._restored = True
        with self._on_record():
            if self._many is not None:
                self._many.restore(inner)
            elif self._one is not None and inner:
                self._one.restore(inner)

    def publish(self) -> Artifact:
        """Make the blob visible in one step. Raises SinkError, also if another one came into being there."""
        with self._on_record():
            if self._many is not None:
                return self._many.publish()
            assert self._one is not None, "on_start() comes first"
            self._require_absent()
            artifact = self._one.publish()
        self._published = True
        if artifact.parts:
            return artifact
        return replace(artifact, path_or_uri=self._place(self._blob_name()).url)

    def probe(self) -> str:
        """Which identity was tried, and that it may write. Raises PluginError if it may not."""
        options = self.options

        def ask(client: AzureBlobClient) -> None:
            if options.create_container:
                client.list_containers(options.container)
            else:
                client.may_write(options.container)

        return probe(options, ask, CONTRIBUTOR)

    def targets(self) -> Sequence[str]:
        """The blob's URL, as far as it is known before the run."""
        options = self.options
        account = options.account_url or f"https://{options.account_name or 'account'}.blob.core.windows.net"
        return [f"{account.rstrip('/')}/{options.container}/{options.name().template}"]

    def _on_record(self, ctx: PluginContext | None = None) -> "_OnRecord":
        return _OnRecord(self._book, ctx)


class _OnRecord:
    """Puts storage calls on record however the block ends, and turns storage errors into sink errors."""

    def __init__(self, book: CallBook | None, ctx: PluginContext | None) -> None:
        self._book = book
        self._ctx = ctx

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._book is not None:
            self._book.write(self._ctx)
        if isinstance(error, BlobExistsError):
            raise SinkError(
                f"blob {error.target} exists already, and overwrite is false",
                fix="delete it, choose another name (with {run_id}), or set overwrite: true",
            ) from error
        if isinstance(error, BlobError):
            raise SinkError(error.what, fix=error.fix) from error
