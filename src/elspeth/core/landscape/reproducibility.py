"""How far a run can be repeated, and what a purge took away from that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, select

from elspeth.contracts.enums import Determinism
from elspeth.core.landscape.records import NodeRecord
from elspeth.core.landscape.tables import run_events_table

_EVENT = "purged"
_BY_RECORD = {Determinism.EXTERNAL_CALL, Determinism.NON_DETERMINISTIC}


class Reproducibility(StrEnum):
    """``full``: the same input gives the same output again. ``replay``: the same, with the answers of
    external calls taken from the record. ``attributable``: contents were purged; what was done to
    which row is still on record, and any copy of a row can be held against its hash, no more.
    """

    FULL = "full"
    REPLAY = "replay"
    ATTRIBUTABLE = "attributable"


@dataclass(frozen=True, slots=True)
class PurgeRecord:
    """When a run's contents were taken away, and how much that was."""

    at: datetime
    detail: Mapping[str, Any]


def reproducibility(nodes: Iterable[NodeRecord], purge: PurgeRecord | None) -> Reproducibility:
    """The grade of a run with these nodes."""
    if purge is not None:
        return Reproducibility.ATTRIBUTABLE
    kinds = {node.determinism for node in nodes}
    return Reproducibility.REPLAY if kinds & _BY_RECORD else Reproducibility.FULL


def read_purge(connection: Connection, run_no: int) -> PurgeRecord | None:
    """The first purge of a run; None if there was none."""
    event = run_events_table.c
    query = (
        select(event.created_at, event.detail)
        .where(event.run_no == run_no, event.kind == _EVENT)
        .order_by(event.ordinal)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else PurgeRecord(row.created_at, orjson.loads(row.detail))
