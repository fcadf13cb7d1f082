"""Reading experiments from the record: which there were, who was assigned, and every row at its variant."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, TextClause, bindparam, delete, insert, text
from sqlalchemy.exc import DBAPIError

from elspeth.contracts.plugins import Row
from elspeth.core.landscape import ids
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.payloads.forms import is_purged
from elspeth.core.landscape.payloads.store import inflate
from elspeth.core.landscape.reading.rebuild import TokenData, rebuild
from elspeth.core.landscape.reading.stored import PathCache, StoredPath, StoredStep, StoredTrace
from elspeth.core.landscape.tables import experiment_stats_table as _stats
from elspeth.core.landscape.variants.readings import (
    NO_USAGE,
    last_totals,
    read_column,
    reading_names,
)
from elspeth.core.landscape.variants.sql import REFUSED

_EXPERIMENTS = text(
    """SELECT r.run_no, r.run_id, r.status, r.started_at, n.config_json FROM nodes n
    JOIN runs r ON r.run_id = n.run_id WHERE n.plugin_name = 'experiment' ORDER BY r.run_no DESC"""
)
_JUDGING = text(
    """SELECT r.run_no, r.run_id, r.status, r.started_at, n.node_id, n.config_json FROM nodes n
    JOIN runs r ON r.run_id = n.run_id WHERE n.plugin_name = 'llm_judge' ORDER BY r.run_no DESC"""
)
_ASSIGNED = text(
    """SELECT run_id, variant_id, COUNT(*) AS assigned FROM experiment_assignments
    WHERE experiment_id = :experiment_id AND run_id IN :run_ids GROUP BY run_id, variant_id"""
).bindparams(bindparam("run_ids", expanding=True))
_SINGLE = text("SELECT 1 FROM assignments WHERE run_id = :run_id AND experiment_id = :experiment_id LIMIT 1")
_UNITS = text(
    """SELECT row_id, COALESCE(unit, row_id) AS unit, variant_id FROM experiment_assignments
    WHERE run_id = :run_id AND experiment_id = :experiment_id"""
)
_PATHS = text(
    "SELECT DISTINCT path_no FROM path_steps WHERE run_no = :run_no AND node_id IN :nodes"
).bindparams(bindparam("nodes", expanding=True))
_TRACES = text(
    """SELECT row_no, token_no, path_no, parent_no, t0, times, hashes, payload, deltas
    FROM traces WHERE run_no = :run_no ORDER BY row_no, token_no"""
)
_USED = text(
    f"""SELECT state_id, COUNT(*) AS calls,
    SUM(CASE WHEN status = 'success' THEN 0 ELSE 1 END) AS failed_calls, SUM({REFUSED}) AS refused_calls,
    SUM(COALESCE(tokens_in, 0)) AS tokens_in, SUM(COALESCE(tokens_out, 0)) AS tokens_out,
    SUM(COALESCE(cost, 0)) AS cost, SUM(COALESCE(latency_ms, 0)) AS latency_ms
    FROM calls WHERE run_id = :run_id GROUP BY state_id"""
)
_UNEXPOSED = text(
    """SELECT COUNT(*) FROM traces WHERE run_no = :run_no AND path_no IN
    (SELECT path_no FROM path_steps WHERE run_no = :run_no AND node_id = :node_id)"""
)
_UNASSIGNED = text("SELECT COUNT(*) FROM trace_errors WHERE run_no = :run_no AND node_id = :node_id")
_KEPT = text("SELECT totals_json FROM experiment_stats WHERE stats_key = :stats_key")
_COMMITS = text("SELECT run_no, commit_no FROM checkpoints WHERE run_no IN :run_nos").bindparams(
    bindparam("run_nos", expanding=True)
)


@dataclass(frozen=True, slots=True)
class ExperimentRun:
    """One experiment in one run: its settings as recorded, and the ``nodes`` of its variants, in order."""

    run_no: int
    run_id: str
    status: str
    started_at: str
    experiment: Mapping[str, Any]
    transform: str
    phase: str
    nodes: Mapping[str, str]
    judges: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Variant → its nodes ``whole`` (the gate that stops rows that lack an answer) and ``judge``."""

    @property
    def experiment_id(self) -> str:
        """The experiment's id."""
        return str(self.experiment["experiment_id"])


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One token at the node of a variant: its last attempt.

    ``before`` is the row that came in, ``after`` what came out (None where the step failed, or is
    purged); both None where rows were not asked for. ``sent_by`` is the token that was forked.
    """

    row_no: int
    token_no: int
    sent_by: int | None
    node_id: str
    step_index: int
    attempt: int
    status: str
    duration_ms: float | None
    before: Row | None
    after: Row | None


class ExperimentReader:
    """Reads what experiments left on record; writes nothing but totals that follow from it."""

    def __init__(self, db: LandscapeDB) -> None:
        self._db = db
        self._paths = PathCache()

    def runs(self) -> list[ExperimentRun]:
        """Every experiment of every run, newest run first."""
        with self._db.reading() as connection:
            return [_experiment_run(row) for row in connection.execute(_EXPERIMENTS).mappings()]

    def judging_runs(self) -> list[tuple[ExperimentRun, str]]:
        """Runs in which a judge compared answers, newest first (as if it was a variant), and its name.

        Not those of judges that experiments have themselves: see `ExperimentRun.judges`.
        """
        with self._db.reading() as connection:
            rows = connection.execute(_JUDGING).mappings()
            return [
                _judging_run(row) for row in rows if "experiment_id" not in orjson.loads(row["config_json"])
            ]

    def assigned(self, runs: Collection[ExperimentRun]) -> dict[str, int]:
        """Variant → assigned rows, counted in the database. All of one experiment."""
        found: dict[str, int] = {}
        if not runs:
            return found
        key = {
            "experiment_id": next(iter(runs)).experiment_id,
            "run_ids": [run.run_id for run in runs],
        }
        with self._db.reading() as connection:
            for row in connection.execute(_ASSIGNED, key):
                found[row.variant_id] = found.get(row.variant_id, 0) + row.assigned
        return found

    def assigned_by_calls(self, run: ExperimentRun) -> bool:
        """Whether somebody but the engine assigned rows too: those are in none of its totals."""
        with self._db.reading() as connection:
            key = {"run_id": run.run_id, "experiment_id": run.experiment_id}
            return connection.execute(_SINGLE, key).scalar() is not None

    def unexposed(self, runs: Collection[ExperimentRun]) -> int:
        """How many rows took no part, and went through the transform as it is configured."""
        return self._count(_UNEXPOSED, runs, lambda run: run.transform)

    def unassigned(self, runs: Collection[ExperimentRun]) -> int:
        """How many rows could not be assigned, because their unit was null or had no value."""
        return self._count(_UNASSIGNED, runs, lambda run: f"experiment:{run.experiment_id}")

    def recorded(self, run: ExperimentRun) -> tuple[int, str] | None:
        """The last commit at which the engine added up, and the totals. None for a run of single records."""
        return last_totals(self._db, run.run_no, run.experiment_id)

    def column(self, run: ExperimentRun, name: str, until: int) -> dict[int, bytes]:
        """What the engine put down of a column, by commit."""
        return read_column(self._db, run.run_no, run.experiment_id, name, until)

    def reading_names(self, run: ExperimentRun) -> set[str]:
        """The columns that there are."""
        return reading_names(self._db, run.run_no, run.experiment_id)

    def _count(
        self,
        query: TextClause,
        runs: Collection[ExperimentRun],
        node_of: Callable[[ExperimentRun], str],
    ) -> int:
        with self._db.reading() as connection:
            return sum(
                int(connection.execute(query, {"run_no": run.run_no, "node_id": node_of(run)}).scalar_one())
                for run in runs
            )

    def kept(self, stats_key: str) -> str | None:
        """What `keep` kept under this key."""
        with self._db.reading() as connection:
            found: str | None = connection.execute(_KEPT, {"stats_key": stats_key}).scalar()
            return found

    def keep(self, stats_key: str, experiment_id: str, totals_json: str, now: datetime) -> None:
        """Keep totals, so that they need not be added up again. A database that refuses is no error:
        what is kept follows from the rest of the record.
        """
        row = {
            "stats_key": stats_key,
            "experiment_id": experiment_id,
            "totals_json": totals_json,
            "created_at": now,
        }
        with suppress(DBAPIError), self._db.engine.begin() as connection:
            connection.execute(delete(_stats).where(_stats.c.stats_key == stats_key))
            connection.execute(insert(_stats).values(row))

    def commits(self, runs: Collection[ExperimentRun]) -> dict[int, int]:
        """Run number → its last commit: tells whether anything has changed."""
        with self._db.reading() as connection:
            rows = connection.execute(_COMMITS, {"run_nos": [run.run_no for run in runs]})
            return {row.run_no: row.commit_no for row in rows}

    def units(self, run: ExperimentRun) -> Iterator[tuple[int, str, str]]:
        """Row number, unit and variant of every assigned row, in no order."""
        with self._db.reading() as connection:
            key = {"run_id": run.run_id, "experiment_id": run.experiment_id}
            for row_id, unit, variant in connection.execution_options(yield_per=10_000).execute(_UNITS, key):
                row = ids.parse_row_id(row_id)
                if row is not None and row.run_id == run.run_id:  # else the engine never had it
                    yield row.row_no, unit, variant

    def usage(self, run: ExperimentRun) -> dict[str, dict[str, float]]:
        """What was used per step of a token (its id without the attempt), all attempts together."""
        found: dict[str, dict[str, float]] = {}
        with self._db.reading() as connection:
            for row in connection.execute(_USED, {"run_id": run.run_id}).mappings():
                used = found.setdefault(row["state_id"].rpartition(".")[0], dict(NO_USAGE))
                for name in row:
                    if name != "state_id":
                        used[name] += float(row[name])
                used["tokens_total"] = used["tokens_in"] + used["tokens_out"]
        return found

    def rows(self, run: ExperimentRun, *, with_data: bool) -> Iterator[VariantRow]:
        """Every token that was at a variant, in order of rows; their data checked against the hashes.

        Raises LandscapeError if the record contradicts itself.
        """
        nodes = set(run.nodes.values())
        with self._db.reading() as connection:
            key = {"run_no": run.run_no, "nodes": list(nodes)}
            path_nos = {row.path_no for row in connection.execute(_PATHS, key)}
            paths = dict(self._paths.read(connection, run.run_no, path_nos))
            steps = {number: last_step(path, nodes) for number, path in paths.items()}
            stream = connection.execution_options(yield_per=5_000).execute(_TRACES, {"run_no": run.run_no})
            for _, of_row in groupby(stream, key=lambda row: row.row_no):
                records = list(of_row)
                wanted = [record for record in records if record.path_no in steps]
                if not wanted:
                    continue
                data = _Data(connection, run.run_id, {record.token_no: record for record in records}, paths)
                if with_data:
                    self._learn(connection, run.run_no, paths, records)
                for record in wanted:
                    path, step = paths[record.path_no], steps[record.path_no]
                    row = _variant_row(record, step, data if with_data else None)
                    # Where it came apart here, several rows came out, or none.
                    apart = path.ending == "expanded" and step is path.steps[-1]
                    yield replace(row, after=None) if apart else row

    def _learn(
        self, connection: Connection, run_no: int, paths: dict[int, StoredPath], records: Iterable[Any]
    ) -> None:
        missing = {record.path_no for record in records} - paths.keys()
        if missing:
            paths |= self._paths.read(connection, run_no, missing)


def last_step(path: StoredPath, nodes: Collection[str]) -> StoredStep:
    """The last step of a path at one of these nodes; there must be one."""
    return next(step for step in reversed(path.steps) if step.node_id in nodes)


class _Data:
    """The rows of one source row's tokens."""

    def __init__(
        self, connection: Connection, run_id: str, records: Mapping[int, Any], paths: Mapping[int, StoredPath]
    ) -> None:
        self._connection = connection
        self._run_id = run_id
        self._records = records
        self._paths = paths
        self._last: dict[int, Row | None] = {}

    def of(self, record: Any, step: StoredStep) -> tuple[Row | None, Row | None]:
        data = self._rebuild(record)
        here = data.steps[step.ordinal]
        return here.before, here.after

    def _rebuild(self, record: Any) -> TokenData:
        path, inherited = self._paths[record.path_no], self._inherited(record)
        return rebuild(self._run_id, _trace(self._connection, record), path, inherited)

    def _inherited(self, record: Any) -> Row | None:
        parent = self._records.get(record.parent_no)
        if parent is None or self._paths[record.path_no].origin != "fork":
            return None
        if parent.token_no not in self._last:
            self._last[parent.token_no] = self._rebuild(parent).last
        return self._last[parent.token_no]


def _trace(connection: Connection, record: Any) -> StoredTrace:
    purged = is_purged(record.payload)
    return StoredTrace(
        record.row_no, record.token_no, record.path_no, record.parent_no, record.t0, (), bytes(record.hashes),
        None if purged else inflate(connection, record.payload),
        None if purged else inflate(connection, record.deltas), None, None, purged
    )  # fmt: skip


def _variant_row(record: Any, step: StoredStep, data: _Data | None) -> VariantRow:
    duration = None
    if step.end_slot is not None:
        times = orjson.loads(record.times)
        began = times[step.start_slot] if step.start_slot >= 0 else 0
        duration = (times[step.end_slot] - began) / 1000
    before, after = (None, None) if data is None else data.of(record, step)
    return VariantRow(
        record.row_no, record.token_no, record.parent_no, step.node_id, step.step_index, step.attempt,
        step.status, duration, before, after
    )  # fmt: skip


def state_key(run_id: str, row: VariantRow) -> str:
    """The key of a row's step in `ExperimentReader.usage`."""
    return f"{ids.token_id(run_id, row.row_no, row.token_no)}-{row.step_index}"


def _experiment_run(row: RowMapping) -> ExperimentRun:
    config = orjson.loads(row["config_json"])
    return ExperimentRun(
        run_no=row["run_no"],
        run_id=row["run_id"],
        status=row["status"],
        started_at=str(row["started_at"]),
        experiment=config["experiment"],
        transform=config["transform"],
        phase=config["phase"],
        # Stored JSON has sorted keys; everything that counts variants goes by their order in the experiment.
        nodes={
            one["variant_id"]: config["nodes"][one["variant_id"]] for one in config["experiment"]["variants"]
        },
        judges=config.get("judges", {}),
    )


def judge_name(config: Mapping[str, Any], otherwise: str) -> str:
    """What a judge is called: by its model, where it has one."""
    options = config.get("options", {})
    return str(options.get("model") or options.get("deployment_name") or otherwise)


def _judging_run(row: RowMapping) -> tuple[ExperimentRun, str]:
    judge = judge_name(orjson.loads(row["config_json"]), row["node_id"])
    run = ExperimentRun(
        row["run_no"], row["run_id"], row["status"], str(row["started_at"]), {}, row["node_id"], "",
        {"judge": row["node_id"]},
    )  # fmt: skip
    return run, judge
