"""The ``parquet`` sink: columns in Parquet format (extra ``parquet``)."""

import base64
from collections.abc import Mapping, Sequence
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions
from elspeth.plugins.sinks.part_file import PartFile

if TYPE_CHECKING:
    from elspeth.plugins.sinks.parquet_columns import ArrowColumns

_GROUP_ROWS = 65_536
_INSTALL = 'install it with: pip install "elspeth[parquet]"'


class ParquetSinkOptions(FileSinkOptions):
    """Options of the ``parquet`` sink."""

    mode: Literal["write"] = Field(default="write", description="Parquet files can't be appended to.")
    compression: Literal["snappy", "zstd", "gzip", "none"] = Field(
        default="zstd", description="How the columns are compressed."
    )


class ParquetSink(FileSink):
    """Rows as columns in a Parquet file.

    Column types are those of ``schema.fields``, else those of the values in the first `write`. What does
    not fit its column exactly fails its row. Until the run is complete the rows are in an Arrow
    stream beside the target, because a Parquet file can't be cut back; its layout depends only on
    the rows, not on how they came.
    """

    name = "parquet"
    options_model = ParquetSinkOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._columns: ArrowColumns | None = None
        self._stream: Path | None = None

    def check(self) -> list[str]:
        """Whether the path can be written, and pyarrow is there."""
        problems = super().check()
        if self.options.policy == "append_or_create" and self._target.exists():
            problems.append(
                f"{self._target} exists, and a Parquet file can't be appended to; choose another policy"
            )
        try:
            import pyarrow  # noqa: F401, PLC0415 - optional extra
        except ImportError:
            problems.append(f"the parquet sink needs pyarrow; {_INSTALL}")
        return problems

    def position(self) -> Mapping[str, Any]:
        """As for every file sink, and the columns."""
        if self._columns is None:
            return super().position()
        schema = base64.b64encode(self._columns.schema.serialize().to_pybytes()).decode("ascii")
        return {**super().position(), "schema": schema}

    def restore(self, position: Mapping[str, Any]) -> None:
        """As for every file sink."""
        import pyarrow as pa  # noqa: PLC0415 - optional extra

        from elspeth.plugins.sinks.parquet_columns import ArrowColumns  # noqa: PLC0415 - needs the extra

        super().restore(position)
        schema = position.get("schema")
        self._columns = (
            ArrowColumns(pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema)))) if schema else None
        )

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Write the rows to the Arrow stream."""
        if not rows:
            return ()
        columns = self._started(rows)
        failures: list[RowFailure] = []
        good = rows
        names = columns.schema.names
        try:
            if not all(row.keys() <= set(names) for row in rows):
                raise ValueError("unknown field")
            batch = columns.batch(rows)
        except (ValueError, TypeError, OverflowError):
            faults = [columns.fault(row) for row in rows]
            failures = [RowFailure(index, fault) for index, fault in enumerate(faults) if fault]
            good = [row for row, fault in zip(rows, faults, strict=True) if not fault]
            if not good:
                return failures
            batch = columns.batch(good)
        self._put(batch.serialize().to_pybytes(), len(good))
        return failures

    def _started(self, rows: Sequence[Row]) -> "ArrowColumns":
        if self._columns is None:
            from elspeth.plugins.sinks.parquet_columns import ArrowColumns, arrow_schema  # noqa: PLC0415 - extra

            self._columns = ArrowColumns(arrow_schema(self.input_schema, rows))
            self._ready()
        return self._columns

    def _begin(self) -> None:
        if self._columns is None:
            self._started([])
        assert self._columns is not None
        self._part.write(self._columns.schema.serialize().to_pybytes())

    def publish(self) -> Artifact:
        """Turn the stream into a Parquet file, and put it in its place in one step. Raises SinkError."""
        stream = self._ready()
        stream.sync()
        stream.close()
        # The stream stays until the file is in its place: a crash in between can be resumed.
        self._part = PartFile(self._target, f"{self._run_id}.parquet")
        self._part.begin()
        self._convert(stream.path, self._part)
        artifact = super().publish()
        self._stream = stream.path
        return artifact

    def close(self) -> None:
        """As for every file sink; what the file was made from goes, once the file is in its place."""
        super().close()
        if self._stream is not None:
            self._stream.unlink(missing_ok=True)
            self._stream = None

    def _convert(self, stream: Path, finished: PartFile) -> None:
        import pyarrow as pa  # noqa: PLC0415 - optional extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional extra

        out, compression = _Out(finished), self.options.compression
        with open(stream, "rb") as raw, pa.ipc.open_stream(raw) as batches:
            held: list[pa.RecordBatch] = []
            rows = 0
            with pq.ParquetWriter(out, batches.schema, compression=compression) as writer:
                for batch in batches:
                    rest = batch
                    while rows + rest.num_rows >= _GROUP_ROWS:
                        cut = _GROUP_ROWS - rows
                        writer.write_table(
                            pa.Table.from_batches([*held, rest.slice(0, cut)]).combine_chunks()
                        )
                        held, rows, rest = [], 0, rest.slice(cut)
                    if rest.num_rows:
                        held.append(rest)
                        rows += rest.num_rows
                if held:
                    writer.write_table(pa.Table.from_batches(held).combine_chunks())


class _Out(RawIOBase):
    """A part file as the file object that pyarrow wants."""

    def __init__(self, part: PartFile) -> None:
        super().__init__()
        self._part = part

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._part.size

    def write(self, data: Any) -> int:
        self._part.write(bytes(data))
        return len(data)
