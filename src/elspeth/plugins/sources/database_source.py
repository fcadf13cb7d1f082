"""The ``database`` source: rows of a table or a query, through SQLAlchemy."""

from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import Any, Self

from pydantic import Field, model_validator
from sqlalchemy import Engine, Select, TextClause, literal_column, quoted_name, select, table, text
from sqlalchemy.exc import SQLAlchemyError

from elspeth.contracts.errors import SourceError
from elspeth.contracts.plugins import Quarantined, Row
from elspeth.contracts.schema import FieldSpec, PluginSchema
from elspeth.plugins.database import connect_engine, explained, missing_file, shown_url
from elspeth.plugins.schemas import RowCoercer
from elspeth.plugins.schemas.native import native_row
from elspeth.plugins.sources.base import ChunkedSource, SourceOptions, settle
from elspeth.plugins.sources.columns import check_columns, native_schema

_CHUNK_ROWS = 1_000


class DatabaseSourceOptions(SourceOptions):
    """Options of the ``database`` source."""

    url: str = Field(
        min_length=1,
        description="SQLAlchemy URL, such as sqlite:///data.db or postgresql+psycopg://host/name. Put "
        "passwords in an environment variable.",
    )
    table: str | None = Field(
        default=None, description="The table to read (schema.table where there are schemas)."
    )
    query: str | None = Field(default=None, description="A SELECT to read instead of a table.")
    key: str | None = Field(
        default=None,
        description="A unique integer or text column: rows come in its order, and a resume starts behind the "
        "last key at once. Without it the rows read before are read again and skipped.",
    )
    order_by: tuple[str, ...] = Field(
        default=(),
        description="Columns that fix the order of the rows. Without key or order_by a resume relies on the "
        "database giving the same order twice.",
    )
    field_mapping: dict[str, str] = Field(
        default_factory=dict, description="Renames: column → the name to use."
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        if self.key and self.order_by:
            raise ValueError("give either key or order_by: a key fixes the order already")
        return self


class DatabaseSource(ChunkedSource):
    """Rows of a table or a SELECT, streamed from the server.

    Times and durations become ISO text; NaN and infinity are quarantined. Passwords never appear in
    errors.
    """

    name = "database"
    options_model = DatabaseSourceOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._declared = self.output_schema
        self._observed: PluginSchema | None = None
        self._engine: Engine | None = None

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def check(self) -> list[str]:
        """Whether the database answers and has the columns."""
        try:
            self.preview_schema()
        except SourceError as error:
            return [f"{error.what}; {error.fix}" if error.fix else error.what]
        return []

    def preview_schema(self) -> PluginSchema:
        """The columns, with their types as far as they are declared; one row is read. Raises SourceError.

        Asked once: a query may take long.
        """
        if self._observed is not None:
            return self._observed
        rows = self._rows(None, 0)
        try:
            next(rows, None)
        finally:
            rows.close()
            self.close()
        return self._observed or self._declared

    def observed_schema(self) -> PluginSchema | None:
        """The columns, once reading has begun."""
        return self._observed

    def _statement(self, after: Any) -> Select[Any] | TextClause:
        """The rows in order, those behind the key ``after`` if there is one."""
        options = self.options
        if options.query is not None:
            inner = options.query.strip().rstrip(";")
            if not options.key and not options.order_by:
                return text(inner.replace(":", "\\:"))
            rows: Any = text(f"({inner}\n) AS elspeth_rows".replace(":", "\\:"))
        else:
            schema, _, name = options.table.rpartition(".")
            rows = table(name, schema=schema or None)
        names = [options.key] if options.key else options.order_by
        columns: list[Any] = [literal_column(self._quoted(name)) for name in names]
        statement = select(text("*")).select_from(rows).order_by(*columns)
        return statement.where(columns[0] > after) if after is not None else statement

    def _quoted(self, name: str) -> str:
        assert self._engine is not None
        return str(self._engine.dialect.identifier_preparer.quote(quoted_name(name, quote=True)))

    def _rows(self, after: Any, skip: int) -> Generator[Row, None, None]:
        try:
            if self._engine is None:
                if path := missing_file(self.options.url):
                    raise SourceError(f"there is no database file {path}", fix="correct the url")
                self._engine = connect_engine(self.options.url)
            with self._engine.connect() as connection:
                streaming = connection.execution_options(stream_results=True, yield_per=_CHUNK_ROWS)
                result = streaming.execute(self._statement(after))
                names = self._names(list(result.keys()))
                check_columns(self._declared, names, shown_url(self.options.url))
                columns = [FieldSpec(name, required=False) for name in names]
                self.output_schema = self._observed = native_schema(self._declared, columns)
                for values in islice(result, skip, None):
                    yield dict(zip(names, values, strict=True))
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise SourceError(
                f"{shown_url(self.options.url)} cannot be read: {explained(error, self.options.url)}",
                fix="check url, table and query, and that the database is running",
            ) from None

    def _names(self, columns: list[str]) -> list[str]:
        wanted = (*self.options.field_mapping, *([self.options.key] if self.options.key else ()))
        if missing := [name for name in wanted if name not in columns]:
            raise SourceError(f"there is no column {missing[0]!r}; there are: {', '.join(columns)}")
        names = [self.options.field_mapping.get(name, name) for name in columns]
        if twice := [name for name in names if names.count(name) > 1]:
            raise SourceError(f"two columns are called {twice[0]!r}", fix="name them apart in the query (AS)")
        return names

    def _chunks(self, start: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[Row | Quarantined]]]:
        coercer = RowCoercer(self._declared)
        after, number = start.get("after"), start.get("row", 0)
        key = self.options.key and self.options.field_mapping.get(self.options.key, self.options.key)
        rows = self._rows(after, number if after is None else 0)
        begin: dict[str, Any] = dict(start)
        while chunk := list(islice(rows, _CHUNK_ROWS)):
            last = chunk[-1][key] if key else None
            yield begin, settle(coercer, [(_item(row), None) for row in chunk])
            number += len(chunk)
            # A key that JSON can't hold would be compared as another type: then rows are counted.
            begin = {"row": number, "after": last} if type(last) in (int, str) else {"row": number}


def _item(values: Row) -> Row | Quarantined:
    row, field, reason = native_row(values)
    return Quarantined(row, reason, field) if reason else row
