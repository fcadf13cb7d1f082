"""Which variants a row was given, by the row's own key: the view that says it would read the whole run."""

from typing import Any

from sqlalchemy import Connection, null, select, text

from elspeth.core.landscape import ids
from elspeth.core.landscape.tables import assignments_table
from elspeth.core.landscape.views import DIALECTS, assigned_by_engine, experiment_assignments_table

_columns = experiment_assignments_table.columns
_OF_ROW = {
    dialect: text(
        assigned_by_engine(dialect, "AND r.run_id = :run_id AND t.row_no = :row_no ORDER BY x.variant_no")
    ).columns(*_columns)
    for dialect in DIALECTS
}
_by_calls = assignments_table.c
_BY_CALLS = select(*(_by_calls.get(one.name, null().label(one.name)) for one in _columns))


def of_row(connection: Connection, run_id: str, row_id: str) -> dict[str, dict[str, Any]]:
    """A row's assignments by experiment, in the columns of the view ``experiment_assignments``."""
    found = {}
    key = ids.parse_row_id(row_id)
    if key is not None and key.run_id == run_id:
        of_engine = _OF_ROW[connection.dialect.name]
        rows = connection.execute(of_engine, {"run_id": run_id, "row_no": key.row_no})
        found = {row.experiment_id: row._asdict() for row in rows}
    mine = (_by_calls.run_id == run_id) & (_by_calls.row_id == row_id)
    by_calls = {row.experiment_id: row._asdict() for row in connection.execute(_BY_CALLS.where(mine))}
    return dict(sorted((found | by_calls).items()))
