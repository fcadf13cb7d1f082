"""The batches that tokens of one row were members or results of, read by key."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from elspeth.core.landscape import ids
from elspeth.core.landscape.reading.lineage import BatchMembership, BatchRecord
from elspeth.core.landscape.tables import batches_table

_PLACES = text(
    """SELECT token_no, role, ordinal, batch_no FROM batch_tokens
    WHERE run_no = :run_no AND row_no = :row_no ORDER BY batch_no, role, ordinal"""
)
_batch = batches_table.c
_BATCHES = (
    select(batches_table)
    .where(_batch.run_no == bindparam("run_no"), _batch.batch_no.in_(bindparam("batch_nos", expanding=True)))
    .order_by(_batch.batch_no)
)
_TOKENS = text(
    """SELECT m.batch_no, m.role, m.row_no, m.token_no, t.token_alias
    FROM batch_tokens m LEFT JOIN traces t
    ON t.run_no = m.run_no AND t.row_no = m.row_no AND t.token_no = m.token_no
    WHERE m.run_no = :run_no AND m.batch_no IN :batch_nos ORDER BY m.batch_no, m.role, m.ordinal"""
).bindparams(bindparam("batch_nos", expanding=True))
_CHUNK = 500


def read_batches(
    connection: Connection, run_id: str, key: Mapping[str, int]
) -> dict[int, list[BatchMembership]]:
    """Token number → its places in batches, in the order of these. ``key`` holds run_no and row_no."""
    places = connection.execute(_PLACES, key).all()
    if not places:
        return {}
    numbers = list(dict.fromkeys(place.batch_no for place in places))
    batches: dict[int, BatchRecord] = {}
    for start in range(0, len(numbers), _CHUNK):
        batches |= _records(connection, run_id, key["run_no"], numbers[start : start + _CHUNK])
    found: dict[int, list[BatchMembership]] = {}
    for place in places:
        membership = BatchMembership(place.role, place.ordinal, batches[place.batch_no])
        found.setdefault(place.token_no, []).append(membership)
    return found


def _records(connection: Connection, run_id: str, run_no: int, numbers: list[int]) -> dict[int, BatchRecord]:
    wanted: dict[str, Any] = {"run_no": run_no, "batch_nos": numbers}
    tokens: dict[tuple[int, str], list[str]] = {}
    for row in connection.execute(_TOKENS, wanted):
        token_id = row.token_alias or ids.token_id(run_id, row.row_no, row.token_no)
        tokens.setdefault((row.batch_no, row.role), []).append(token_id)
    return {
        row.batch_no: BatchRecord(
            row.batch_id,
            row.node_id,
            row.trigger_type,
            row.status,
            row.created_at,
            row.completed_at,
            tuple(tokens.get((row.batch_no, "in"), ())),
            tuple(tokens.get((row.batch_no, "out"), ())),
        )
        for row in connection.execute(_BATCHES, wanted)
    }
