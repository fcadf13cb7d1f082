"""A run's external calls as a whole: what they cost, and which of them somebody should look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.tables import calls_table

_call = calls_table.c
_SHOWN = (
    "call_id", "state_id", "call_type", "provider", "status", "attempt", "latency_ms", "tokens_in",
    "tokens_out", "cost", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallTotals:
    """Calls of one provider with one status; ``cost`` is None where no call has a known cost."""

    provider: str | None
    status: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class CallSummary:
    """Totals, and the slowest, dearest and last failed calls, each as its columns."""

    totals: tuple[CallTotals, ...]
    slowest: tuple[Mapping[str, Any], ...]
    dearest: tuple[Mapping[str, Any], ...]
    failed: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        totals = [{name: getattr(one, name) for name in CallTotals.__slots__} for one in self.totals]
        return {
            "totals": totals,
            "slowest": list(self.slowest),
            "dearest": list(self.dearest),
            "failed": list(self.failed),
        }


def summarise_calls(db: LandscapeDB, run_id: str, limit: int = 5) -> CallSummary:
    """What is on record of a run's calls; reads the database, not the calls' contents."""
    tokens_in, tokens_out = (
        func.coalesce(func.sum(_call.tokens_in), 0),
        func.coalesce(func.sum(_call.tokens_out), 0),
    )
    query = (
        select(
            _call.provider, _call.status, func.count(), tokens_in, tokens_out, func.sum(_call.cost),
            func.avg(_call.latency_ms),
        )
        .where(_call.run_id == run_id)
        .group_by(_call.provider, _call.status)
        .order_by(_call.provider, _call.status)
    )  # fmt: skip
    with db.reading() as connection:
        totals = tuple(
            CallTotals(
                row[0], row[1], row[2], int(row[3]), int(row[4]), None if row[5] is None else float(row[5]),
                row[6],
            )
            for row in connection.execute(query)
        )  # fmt: skip

        def worst(where: ColumnElement[bool], order: ColumnElement[Any]) -> tuple[Mapping[str, Any], ...]:
            columns = [_call[name] for name in _SHOWN]
            found = select(*columns).where(_call.run_id == run_id, where).order_by(order.desc()).limit(limit)
            rows = connection.execute(found).mappings()
            return tuple({**row, "cost": None if row["cost"] is None else float(row["cost"])} for row in rows)

        return CallSummary(
            totals,
            worst(_call.latency_ms.is_not(None), _call.latency_ms),
            worst(_call.cost > 0, _call.cost),
            worst(_call.status == "error", _call.created_at),
        )
