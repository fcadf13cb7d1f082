"""Which variants a row was given, by the row's own key: the view that says it would read the whole run."""

from sqlalchemy import Connection, RowMapping, select, text

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


def of_row(connection: Connection, run_id: str, row_id: str) -> dict[str, RowMapping]:
    """A row's assignments by experiment, in the columns of the view ``experiment_assignments``."""
    found = {}
    key = ids.parse_row_id(row_id)
    if key is not None and key.run_id == run_id:
        of_engine = _OF_ROW[connection.dialect.name]
        rows = connection.execute(of_engine, {"run_id": run_id, "row_no": key.row_no}).mappings()
        found = {row["experiment_id"]: row for row in rows}
    table = assignments_table.c
    query = select(
        *(table[name] if name in table else text(f"NULL AS {name}") for name in _columns.keys())  # noqa: SIM118
    )
    rows = connection.execute(query.where(table.run_id == run_id, table.row_id == row_id)).mappings()
    return dict(sorted((found | {row["experiment_id"]: row for row in rows}).items()))
