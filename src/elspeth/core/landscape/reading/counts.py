"""Counting how a run went: by path, because tokens of one path all went the same way."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, literal_column, select

from elspeth.core.landscape.reading.stored import StoredPath
from elspeth.core.landscape.records import ErrorGroup, NodeTiming, RunCounts
from elspeth.core.landscape.tables import errors_table, traces_table

_TIMED_ROWS = 1_000

_PATH_COUNTS = (
    select(traces_table.c.path_no, func.count().label("tokens"))
    .where(traces_table.c.run_no == bindparam("run_no"))
    .group_by(traces_table.c.path_no)
)
_LAST_ROW = select(func.max(traces_table.c.row_no)).where(traces_table.c.run_no == bindparam("run_no"))
_TIMES = select(
    traces_table.c.path_no,
    traces_table.c.times,
).where(
    traces_table.c.run_no == bindparam("run_no"),
    traces_table.c.row_no.in_(bindparam("row_nos", expanding=True)),
)
_REASON: Mapping[str, str] = {
    "sqlite": "json_extract(reason, '$.error')",
    "postgresql": "reason::json->>'error'",
}


def path_counts(connection: Connection, run_no: int) -> dict[int, int]:
    """Path number → its tokens. Reads every trace of the run once."""
    rows = connection.execute(_PATH_COUNTS, {"run_no": run_no})
    return {row.path_no: row.tokens for row in rows}


def summarise(tokens: Mapping[int, int], paths: Mapping[int, StoredPath]) -> RunCounts:
    """How the run's rows and tokens ended, from `path_counts` and the paths themselves."""
    read = still_open = 0
    outcomes: Counter[str] = Counter()
    sinks: Counter[str] = Counter()
    nodes: dict[str, Counter[str]] = {}
    for path_no, count in tokens.items():
        path = paths[path_no]
        read += count if path.origin is None else 0
        if path.outcome is None:
            still_open += count
        else:
            outcomes[path.outcome] += count
        if path.ending == "sink" and path.sink_node_id is not None:
            sinks[path.sink_node_id] += count
        for step in path.steps:
            nodes.setdefault(step.node_id, Counter())[step.status] += count
    return RunCounts(
        read=read,
        quarantined=outcomes["QUARANTINED"],
        failed=outcomes["FAILED"],
        open=still_open,
        outcomes={name: outcomes[name] for name in sorted(outcomes) if outcomes[name]},
        sinks={name: sinks[name] for name in sorted(sinks)},
        nodes={name: dict(statuses) for name, statuses in nodes.items()},
    )


def sample_times(connection: Connection, run_no: int) -> list[tuple[int, str]]:
    """(path number, times) of the tokens of at most 1,000 rows, spread evenly over the run."""
    last = connection.execute(_LAST_ROW, {"run_no": run_no}).scalar()
    if last is None:
        return []
    wanted = sorted({place * last // max(1, _TIMED_ROWS - 1) for place in range(_TIMED_ROWS)})
    rows = connection.execute(_TIMES, {"run_no": run_no, "row_nos": wanted})
    return [(row.path_no, row.times) for row in rows]


def timing(durations_ms: list[float]) -> NodeTiming:
    """Mean and nearest-rank 95th percentile of at least one duration."""
    ordered = sorted(durations_ms)
    rank = (95 * len(ordered) + 99) // 100
    return NodeTiming(sum(ordered) / len(ordered), ordered[rank - 1], len(ordered))


def error_groups(connection: Connection, run_no: int, limit: int) -> list[ErrorGroup]:
    """The most frequent errors, by node and text."""
    table = errors_table.c
    reason: ColumnElement[Any] = literal_column(_REASON[connection.dialect.name])
    statement = (
        select(table.node_id, table.kind, reason.label("error"), func.count().label("tokens"))
        .where(table.run_no == run_no)
        .group_by(table.node_id, table.kind, reason)
        .order_by(func.count().desc(), table.node_id, reason)
        .limit(limit)
    )
    return [
        ErrorGroup(row.node_id, row.kind, str(row.error), row.tokens) for row in connection.execute(statement)
    ]
