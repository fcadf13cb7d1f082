"""What an export holds: the record types by the names under which people query them, and their columns."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from sqlalchemy import BigInteger, Float, Integer, LargeBinary, Table
from sqlalchemy.sql.type_api import TypeEngine

from elspeth.core.landscape import schema
from elspeth.core.landscape.tables import (
    experiment_readings_table,
    experiment_totals_table,
    run_events_table,
)
from elspeth.core.landscape.types import UtcDateTime

Kind = Literal["text", "int", "float", "time", "data"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``data`` is a row or a reason (or None), ``time`` an aware datetime in UTC."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class RecordType:
    """One kind of record. ``table`` is None where records are derived from traces."""

    name: str
    columns: tuple[Column, ...]
    table: Table | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


# Kept as they are: the others are views, whose records are put together row by row.
_TABLES = (
    schema.runs_table,
    schema.nodes_table,
    schema.edges_table,
    schema.calls_table,
    schema.batches_table,
    schema.artifacts_table,
    schema.experiment_assignments_table,
    experiment_readings_table,
    experiment_totals_table,
    run_events_table,
)
_VIEWS = (
    (schema.rows_table, ("source_data",)),
    (schema.tokens_table, ("start_data",)),
    (schema.token_parents_table, ()),
    (schema.token_outcomes_table, ()),
    (schema.node_states_table, ("input_data", "output_data")),
    (schema.routing_events_table, ()),
    (schema.validation_errors_table, ()),
    (schema.transform_errors_table, ()),
    (schema.batch_members_table, ()),
)
_INNER = ("run_no", "batch_no")
_VALUES = ("data",)  # of tables: what is written as the values that the bytes hold


def _kind(given: TypeEngine[object]) -> Kind:
    if isinstance(given, UtcDateTime):
        return "time"
    if isinstance(given, Integer | BigInteger):
        return "int"
    if isinstance(given, Float):
        return "float"
    # Decimals are exact as text; bytes are written in hex.
    return "text"


def _columns(table: Table, data: Collection[str] = ()) -> tuple[Column, ...]:
    named = [
        Column(str(column.name), "data" if column.name in data else _kind(column.type))
        for column in table.columns
        if column.name not in _INNER
    ]
    if "run_id" not in table.columns:
        named.insert(0, Column("run_id", "text"))
    return tuple(named)


RECORD_TYPES: Mapping[str, RecordType] = MappingProxyType(
    {str(table.name): RecordType(str(table.name), _columns(table, _VALUES), table) for table in _TABLES}
    | {
        str(view.name): RecordType(
            str(view.name), (*_columns(view, ("reason",)), *(Column(name, "data") for name in data))
        )
        for view, data in _VIEWS
    }
)
"""Name → record type: the tables and views of the reference, in which ``run_no`` has become ``run_id``.

What a row held is in ``source_data``, ``start_data`` (of tokens that brought a row of their own: expand,
join, batch), ``input_data`` (only where it is not what was there before) and ``output_data`` (only where
the step changed it: where the hashes differ). ``data`` of ``experiment_readings`` is the list of its values.
"""


def is_binary(given: TypeEngine[object]) -> bool:
    """Whether a column holds bytes, which an export writes in hex."""
    return isinstance(given, LargeBinary)
