"""Records as Parquet files, one per record type, zstd-compressed; rows of the pipeline are JSON text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from elspeth.core.landscape.export.files import flat, part_of
from elspeth.core.landscape.export.record_types import RECORD_TYPES, RecordType

_ROWS = 10_000
_TYPES = {
    "text": pa.string(),
    "data": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "time": pa.timestamp("us", tz="UTC"),
}


class ParquetFiles:
    """``<record type>.parquet`` for each type, also for those of which there are no records."""

    suffix = "parquet"

    def __init__(self, directory: Path) -> None:
        self._tables = {
            name: _Table(part_of(directory, name, self.suffix), record_type)
            for name, record_type in RECORD_TYPES.items()
        }

    def write(self, name: str, values: Sequence[Any]) -> None:
        self._tables[name].write(values)

    def close(self) -> None:
        for table in self._tables.values():
            table.close()


class _Table:
    def __init__(self, path: Path, record_type: RecordType) -> None:
        self._record_type = record_type
        self._schema = pa.schema([(column.name, _TYPES[column.kind]) for column in record_type.columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[list[Any]] = []

    def write(self, values: Sequence[Any]) -> None:
        self._rows.append(flat(self._record_type, values))
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [
            pa.array(values, type=field.type) for values, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._rows.clear()
