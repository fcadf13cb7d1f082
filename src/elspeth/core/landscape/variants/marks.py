"""The variants of a run by number, and the units of rows that were given one.

The engine marks the trace of the token that was assigned (``traces.assigned``), because a record of its
own with the indexes that it needs would take ten times as long as to decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, text

from elspeth.core.config.buckets import unit_key
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.tables import experiment_variants_table
from elspeth.core.landscape.views import DIALECTS, assigned_by_engine

_UNITS = {
    dialect: text(
        f"""SELECT row_id, unit, variant_id FROM ({
            assigned_by_engine(
                dialect,
                "AND r.run_id = :run_id AND t.row_no IN :row_nos AND x.experiment_id = :experiment_id",
            )
        }) found"""
    ).bindparams(bindparam("row_nos", expanding=True))
    for dialect in DIALECTS
}
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class RunVariant:
    """One variant of one experiment of a run, as it is recorded. ``overrides`` are JSON."""

    experiment_id: str
    variant_id: str
    node_id: str
    overrides: str
    phase: str
    hash_version: int


def units_of_rows(
    db: LandscapeDB, run_id: str, experiment_id: str, rows: Sequence[int]
) -> dict[int, tuple[str, bytes]]:
    """Row number → variant and unit (as `unit_key` gives it) of those that the engine has assigned."""
    found = {}
    with db.reading() as connection:
        query = _UNITS[connection.dialect.name]
        for start in range(0, len(rows), _CHUNK):
            key = {"run_id": run_id, "experiment_id": experiment_id, "row_nos": rows[start : start + _CHUNK]}
            for row in connection.execute(query, key):
                row_no = int(row.row_id[len(run_id) + 1 :])
                found[row_no] = (row.variant_id, unit_key(experiment_id, row.unit))
    return found


def number_variants(
    db: LandscapeDB, run_no: int, wanted: Sequence[RunVariant]
) -> tuple[Mapping[RunVariant, int], list[tuple[Any, ...]]]:
    """The number of each of these variants in a run, and the rows of ``experiment_variants`` still to write.

    A run that goes on with changed options has new variants, behind those that its rows were given before.
    """
    table = experiment_variants_table
    numbers: dict[RunVariant, int] = {}
    with db.reading() as connection:
        for row in connection.execute(select(table).where(table.c.run_no == run_no)):
            numbers[RunVariant(*row[2:])] = row.variant_no
    missing = [one for one in wanted if one not in numbers]
    first = max(numbers.values(), default=-1) + 1
    numbers |= {one: number for number, one in enumerate(missing, first)}
    rows = [
        (run_no, numbers[one], one.experiment_id, one.variant_id, one.node_id, one.overrides, one.phase,
         one.hash_version)
        for one in missing
    ]  # fmt: skip
    return numbers, rows
