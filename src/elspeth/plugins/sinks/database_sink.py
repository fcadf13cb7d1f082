"""The ``database`` sink: rows into a table, through SQLAlchemy."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.plugins.database import connect_engine, explained, missing_file, shown_url
from elspeth.plugins.sinks.base import BaseSink, SinkOptions
from elspeth.plugins.sinks.database_progress import Ledger, Progress
from elspeth.plugins.sinks.database_tables import column_fault, make_table, reflect_table, sql_row
from elspeth.plugins.sinks.file_sink import path_problems


class DatabaseSinkOptions(SinkOptions):
    """Options of the ``database`` sink."""

    url: str = Field(
        min_length=1,
        description="SQLAlchemy URL, such as sqlite:///out.db or postgresql+psycopg://host/name. Put "
        "passwords in an environment variable.",
    )
    table: str = Field(min_length=1, description="The table to fill (schema.table where there are schemas).")
    if_exists: Literal["fail", "append", "replace"] = Field(
        default="fail",
        description="What to do if the table exists: fail (default); append: its rows stay; "
        "replace: it stays until the new one is complete, then is replaced in one step.",
    )


class DatabaseSink(BaseSink):
    """Rows in a table.

    Unless rows are appended, they go to a table of another name that gets its name at the end of the
    run; appended rows are visible after each `flush`. Column types are those of ``schema.fields``, else those
    of the first rows (integers as BIGINT, decimals as NUMERIC, nested values as JSON text). A row that
    the database refuses fails alone.

    How many rows were committed is kept in the database (table ``elspeth_sink_progress``) in the same
    transaction as the rows; after a crash, rows that were committed but are not on record are not
    written twice.
    """

    name = "database"
    options_model = DatabaseSinkOptions

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._schema_name, _, self._table_name = self.options.table.rpartition(".")
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._table: Table | None = None
        self._ledger: Ledger | None = None
        self._rows = 0
        self._seen = 0
        self._failed: dict[int, str] = {}
        self._earlier = Progress()
        self._resumed = False
        self._run_id = ""

    @property
    def _in_place(self) -> bool:
        return bool(self.options.if_exists == "append")

    @property
    def _filled_name(self) -> str:
        """The table that is filled while the run goes on."""
        if self._in_place or self._earlier.published:
            return str(self._table_name)
        mark = hashlib.sha256(f"{self._run_id}/{self.options.table}".encode()).hexdigest()[:8]
        return f"{self._table_name[:40]}__part_{mark}"

    def on_start(self, ctx: PluginContext) -> None:
        """Connect. Raises SinkError if the database can't be used."""
        self._run_id = ctx.run_id
        with self._errors("cannot be used"):
            if path := missing_file(self.options.url):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._engine = connect_engine(self.options.url)
            self._connection = self._engine.connect()
            self._ledger = Ledger(self._connection, f"{self._run_id}/{self.options.table}")
            self._connection.commit()

    def check(self) -> list[str]:
        """Whether the database answers, and the table may be written."""
        shown = shown_url(self.options.url)
        try:
            if path := missing_file(self.options.url):
                return path_problems(path)
            engine = connect_engine(self.options.url)
            try:
                exists = inspect(engine).has_table(self._table_name, schema=self._schema_name or None)
            finally:
                engine.dispose()
        except (SQLAlchemyError, ImportError, OSError) as error:
            return [f"{shown} cannot be used: {explained(error, self.options.url)}; check the url"]
        if exists and self.options.if_exists == "fail":
            return [f"table {self.options.table} exists in {shown}; set if_exists: append or replace"]
        return []

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Insert the rows; those that the database refuses fail, the others are taken."""
        if not rows:
            return ()
        failures: list[RowFailure] = []
        good: list[tuple[int, Row]] = []
        with self._errors("cannot be written"):
            target = self._ready(rows)
            for index, row in enumerate(rows):
                if self._seen + index < self._earlier.seen:
                    fault = self._earlier.failed.get(self._seen + index, "")
                    self._rows += not fault
                elif not (fault := column_fault(target, row)):
                    good.append((index, sql_row(target, row)))
                if fault:
                    failures.append(RowFailure(index, fault))
            failures += self._insert(target, good)
        self._failed.update((self._seen + failure.index, failure.reason) for failure in failures)
        self._seen += len(rows)
        return sorted(failures, key=lambda failure: failure.index)

    def _insert(self, target: Table, rows: list[tuple[int, Row]]) -> Iterable[RowFailure]:
        if not rows:
            return ()
        connection = self._open()
        try:
            with connection.begin_nested():
                connection.execute(target.insert(), [row for _, row in rows])
            self._rows += len(rows)
            return ()
        except (SQLAlchemyError, OverflowError) as error:
            if getattr(error, "connection_invalidated", False):
                raise
        # One of them is bad: find out which, and take the others.
        failures = []
        for index, row in rows:
            try:
                with connection.begin_nested():
                    connection.execute(target.insert(), row)
                self._rows += 1
            except (SQLAlchemyError, OverflowError) as error:
                if getattr(error, "connection_invalidated", False):
                    raise
                failures.append(
                    RowFailure(index, f"refused by the database: {explained(error, self.options.url)}")
                )
        return failures

    def _open(self) -> Connection:
        if self._connection is None:
            raise SinkError("the database sink was not started", fix="call on_start first")
        return self._connection

    def _ready(self, rows: Sequence[Row]) -> Table:
        if self._table is None:
            connection = self._open()
            if not self._resumed and (problems := self.check()):
                raise SinkError(problems[0])
            name, schema = self._filled_name, self._schema_name or None
            found = inspect(connection).has_table(name, schema=schema)
            if found and not self._in_place and not self._resumed and not self._seen:
                reflect_table(connection, name, schema).drop(connection)
                found = False
            if found:
                self._table = reflect_table(connection, name, schema)
            else:
                self._table = make_table(
                    name, schema, self.input_schema, rows, exact=connection.dialect.name != "sqlite"
                )
                self._table.create(connection)
        return self._table

    def flush(self) -> None:
        """Commit."""
        if self._connection is not None and self._ledger is not None:
            with self._errors("cannot be committed"):
                if self._seen > self._earlier.seen:
                    self._ledger.record(Progress(self._seen, self._failed))
                self._connection.commit()
            self._failed = {}

    def position(self) -> Mapping[str, Any]:
        """How many rows were written; valid after `flush`."""
        return {"rows": self._rows, "seen": self._seen}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on behind ``position``. Rows that were committed after it are skipped when they come again."""
        if self._ledger is None:
            raise SinkError("the database sink was not started", fix="call on_start first")
        with self._errors("cannot be used"):
            self._open().rollback()
            self._rows, self._seen = position.get("rows", 0), position.get("seen", 0)
            self._earlier = self._ledger.read()
            self._resumed = True
            if self._earlier.seen < self._seen:
                raise SinkError(
                    f"table {self.options.table}: {self._seen:,} rows are on record, but the database "
                    f"knows of {self._earlier.seen:,}",
                    fix="the database was changed or put back; start a new run",
                )

    def publish(self) -> Artifact:
        """Commit, and give the table its name in the same transaction. Raises SinkError."""
        with self._errors("cannot be published"):
            connection = self._open()
            schema = self._schema_name or None
            table = self._ready([])
            if self._ledger is not None:
                # First of all: who has lost the run to another process must change nothing. And it stays
                # on record: a crash right after this must not lead to a second table.
                self._ledger.record(Progress(self._seen, self._failed, published=True))
            if not self._in_place and not self._earlier.published:
                prepare = connection.dialect.identifier_preparer
                if inspect(connection).has_table(self._table_name, schema=schema):
                    if self.options.if_exists == "fail":
                        raise SinkError(
                            f"table {self.options.table} came into being while the run was going on",
                            fix=f"drop or rename it and resume; the rows are safe in {self._filled_name}",
                        )
                    reflect_table(connection, self._table_name, schema).drop(connection)
                new_name = prepare.quote_identifier(self._table_name)
                connection.execute(text(f"ALTER TABLE {prepare.format_table(table)} RENAME TO {new_name}"))
            connection.commit()
        return Artifact(f"{shown_url(self.options.url)}#{self.options.table}", None, None, self._rows)

    def close(self) -> None:
        """Roll back what was not flushed, and disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def targets(self) -> Sequence[str]:
        """The database's URL without its password, and the table."""
        return [f"{shown_url(self.options.url)}#{self.options.table}"]

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError, OSError) as error:
            raise SinkError(
                f"table {self.options.table} in {shown_url(self.options.url)} {what}: "
                f"{explained(error, self.options.url)}",
                fix="when the cause is removed, go on with `elspeth resume`: what was committed is safe",
            ) from None
