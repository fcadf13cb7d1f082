"""The ``parquet`` source (extra ``parquet``)."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import Quarantined, Row
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.schemas import RowCoercer
from elspeth.plugins.schemas.native import native_row
from elspeth.plugins.sources.base import FileSource, FileSourceOptions, settle
from elspeth.plugins.sources.columns import check_columns, native_schema

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_CHUNK_ROWS = 1_000


class ParquetSourceOptions(FileSourceOptions):
    """Options of the ``parquet`` source."""

    columns: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="The columns to read; default: all."
    )
    field_mapping: dict[str, str] = Field(
        default_factory=dict, description="Renames: column → the name to use."
    )


class ParquetSource(FileSource):
    """Rows of a Parquet file, streamed batch by batch.

    Nested columns become dicts and lists; decimals, dates, instants with their zone and integers of
    any size are exact; instants finer than a microsecond come as ISO text. NaN and infinity are
    quarantined.
    """

    name = "parquet"
    options_model = ParquetSourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._declared = self.output_schema
        self._observed: PluginSchema | None = None

    def size_hint(self) -> int | None:
        """How many rows the file says it has."""
        try:
            with self._open() as file:
                rows: int = file.metadata.num_rows
                return rows
        except SourceError:
            return None

    def preview_schema(self) -> PluginSchema:
        """The file's columns with their types, or what was declared. Raises SourceError."""
        with self._open() as file:
            return self._schema(file)

    def observed_schema(self) -> PluginSchema | None:
        """The file's columns with their types, once reading has begun."""
        return self._observed

    def _open(self) -> "pq.ParquetFile":
        try:
            import pyarrow as pa  # noqa: PLC0415 - optional extra
            import pyarrow.parquet as pq  # noqa: PLC0415 - optional extra
        except ImportError:
            raise SourceError(
                "the parquet source needs pyarrow", fix='install it with: pip install "elspeth[parquet]"'
            ) from None
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{self.path} cannot be read as Parquet: {error}") from error

    def _schema(self, file: "pq.ParquetFile") -> PluginSchema:
        from elspeth.plugins.sources.parquet_columns import field_specs  # noqa: PLC0415 - needs the extra

        names = file.schema_arrow.names
        wanted = self.options.columns or names
        if missing := [name for name in (*wanted, *self.options.field_mapping) if name not in names]:
            raise SourceError(
                f"{self.path} has no column {missing[0]!r}; it has: {', '.join(names)}",
                fix="correct the name",
            )
        specs = field_specs(file.schema_arrow, wanted, self.options.field_mapping)
        if len({spec.name for spec in specs}) != len(specs):
            raise SourceError(
                f"{self.path}: two columns get the same name", fix="rename one with field_mapping"
            )
        check_columns(self._declared, [spec.name for spec in specs], str(self.path))
        return native_schema(self._declared, specs)

    def _chunks(self, start: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        from elspeth.plugins.sources.parquet_columns import batch_rows  # noqa: PLC0415 - needs the extra

        coercer = RowCoercer(self._declared)
        mapping = self.options.field_mapping
        with self._open() as file:
            self.output_schema = self._observed = self._schema(file)
            groups, row, skip = _groups_from(file, start.get("row", 0))
            columns = list(self.options.columns) if self.options.columns else None
            for batch in file.iter_batches(batch_size=_CHUNK_ROWS, row_groups=groups, columns=columns):
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    row += batch.num_rows
                    continue
                rows = batch_rows(batch.slice(skip), mapping)
                row += skip
                skip = 0
                yield {"row": row}, settle(coercer, ((self._item(values), None) for values in rows))
                row += len(rows)

    def _item(self, values: Row) -> Row | Quarantined:
        row, field, reason = native_row(values)
        return Quarantined(row, reason, field) if reason else row


def _groups_from(file: "pq.ParquetFile", row: int) -> tuple[list[int], int, int]:
    """The row groups that are still to be read, the number of their first row, and how many rows to skip."""
    first = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if first + count > row:
            return list(range(group, file.num_row_groups)), first, row - first
        first += count
    return [], first, 0
