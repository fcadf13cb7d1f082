"""All rows of a run in one blob, in the formats of the local sinks."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.plugins.packs.azure.blob_part import BlobPart, Place, made_by_run
from elspeth.plugins.sinks.csv_sink import CsvSink
from elspeth.plugins.sinks.file_sink import FileSink
from elspeth.plugins.sinks.json_sink import JsonSink
from elspeth.plugins.sinks.parquet_sink import ParquetSink
from elspeth.plugins.sinks.part_file import PartFile
from elspeth.plugins.sinks.text_sink import TextSink


class OneBlob(Protocol):
    """What the sink asks of a writer of one blob."""

    original_headers: Mapping[str, str]

    def on_start(self, ctx: PluginContext) -> None: ...
    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]: ...
    def flush(self) -> None: ...
    def position(self) -> Mapping[str, Any]: ...
    def restore(self, position: Mapping[str, Any]) -> None: ...
    def show(self) -> None: ...
    def publish(self) -> Artifact: ...
    def close(self) -> None: ...


class _Staged(FileSink):
    """A file sink whose part file is a blob's staged blocks. ``path`` is only a name here."""

    ending = b""

    def __init__(self, options: dict[str, Any], place: Place) -> None:
        self._place = place
        self._segments: Sequence[Sequence[Any]] = ()
        super().__init__(options)

    def _new_part(self) -> PartFile:
        return BlobPart(self._target, self._run_id, self._place, self._segments)

    @property
    def _blob(self) -> BlobPart:
        assert isinstance(self._part, BlobPart)
        return self._part

    def on_start(self, ctx: PluginContext) -> None:
        self._run_id = ctx.run_id
        self._part = self._new_part()

    def check(self) -> list[str]:
        return []

    def position(self) -> Mapping[str, Any]:
        return {**super().position(), "target": str(self._target), "segments": self._blob.segments}

    def restore(self, position: Mapping[str, Any]) -> None:
        self._segments = position.get("segments", ())
        self._place = replace(self._place, successor=True)
        super().restore(position)

    def show(self) -> None:
        """Make what was written so far visible, whole and readable; more may follow."""
        self._ready()
        self._blob.commit(self._so_far())

    def _so_far(self) -> bytes:
        return b""


class _Csv(_Staged, CsvSink):
    pass


class _Text(_Staged, TextSink):
    pass


class _Json(_Staged, JsonSink):
    def _so_far(self) -> bytes:
        if self._lines:
            return b""
        return b"]\n" if self._empty else b"\n]\n"


class _Parquet(ParquetSink):
    """A Parquet file can't be written in pieces: it is made here, and uploaded in the end."""

    def __init__(self, options: dict[str, Any], place: Place, directory: Path) -> None:
        self._place = place
        self._directory = directory
        self._uploaded = False
        self._before: Artifact | None = None
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__({**options, "path": str(directory / Path(options["path"]).name)})

    def show(self) -> None:
        """Not before the end: half a Parquet file is none."""

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on with what is on this machine; a blob that is there already is complete."""
        found = made_by_run(self._place) if position.get("started") else None
        if found is None:
            super().restore(position)
        else:
            self._before = replace(found, rows=int(position["rows"]))

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        if rows and self._before is not None:
            raise SinkError(f"{self._place.url} is complete: no row can be added to it")
        return super().write(rows, ctx)

    def position(self) -> Mapping[str, Any]:
        if self._before is not None:
            return {"started": True, "rows": self._before.rows}
        return super().position()

    def publish(self) -> Artifact:
        if self._before is not None:
            return self._before
        place = self._place
        local = Path(super().publish().path_or_uri)
        stream, self._stream = self._stream, None  # it stays for a resume until the blob is there
        with open(local, "rb") as file:
            done = place.client.upload_blob_staged(
                place.container, place.blob, file, overwrite=place.overwrite, label=place.label()
            )
        self._stream, self._uploaded = stream, True
        return Artifact(place.url, done.sha256, done.size, self._rows)

    def close(self) -> None:
        super().close()
        if self._uploaded:
            shutil.rmtree(self._directory, ignore_errors=True)


_STAGED: dict[str, type[_Staged]] = {"csv": _Csv, "json": _Json, "jsonl": _Json, "text": _Text}


def open_blob(format: str, options: dict[str, Any], place: Place, directory: Path) -> OneBlob:
    """The writer for a format. ``directory`` is for what must be kept on this machine meanwhile."""
    options = {**options, "path": place.blob.rpartition("/")[2]}
    if format in ("json", "jsonl"):
        options["format"] = format
    if format == "parquet":
        return _Parquet(options, place, directory)
    if format not in _STAGED:
        raise SinkError(f"there is no format {format!r} for blobs")
    return _STAGED[format](options, place)


def options_model_of(format: str) -> type[Any]:
    """The options that a format takes."""
    return ParquetSink.options_model if format == "parquet" else _STAGED[format].options_model
