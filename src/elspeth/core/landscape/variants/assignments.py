"""Experiments on record: which row got which variant, and how the variants did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import bindparam, insert, select, text

from elspeth.core.canonical import canonical, digest
from elspeth.core.clock import Clock, microseconds
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reading.assigned import of_row
from elspeth.core.landscape.stepwise.tokens import RecordError, ensure_run, transaction
from elspeth.core.landscape.tables import assignments_table
from elspeth.core.landscape.variants.sql import NODE_METRICS, VARIANT_METRICS
from elspeth.core.landscape.views import experiment_assignments_table

_table = experiment_assignments_table.c
_EXPERIMENT = text(
    """SELECT config_json FROM nodes WHERE run_id = :run_id AND node_id = :node_id
    AND plugin_name = 'experiment'"""
)


class AssignmentConflictError(RecordError):
    """A row was given another variant than the one it has: every figure of the experiment would be wrong."""


@dataclass(frozen=True, slots=True)
class ExperimentAssignment:
    """One row's variant in one experiment; ``created_at`` is UTC."""

    assignment_id: str
    run_id: str
    row_id: str
    experiment_id: str
    variant_id: str
    transform_overrides: Mapping[str, Any]
    created_at: datetime


class AssignmentRecording:
    """Experiment assignments, and what they add up to."""

    db: LandscapeDB
    clock: Clock

    def record_experiment_assignment(
        self,
        run_id: str,
        row_id: str,
        experiment_id: str,
        variant_id: str,
        transform_overrides: Mapping[str, Any],
    ) -> ExperimentAssignment:
        """Put a row's variant on record. The same assignment again changes nothing and is returned as it was.

        A run that is not on record is begun, with run_mode ``standalone``. Raises
        AssignmentConflictError (a ValueError) if the row has another variant, or the same with
        other overrides.
        """
        stored = canonical(dict(transform_overrides)).decode()
        new = None
        with transaction(self.db) as connection:
            before = of_row(connection, run_id, row_id).get(experiment_id)
            if before is None:
                now = self.clock.now()
                ensure_run(connection, run_id, microseconds(now))
                before = new = {
                    "assignment_id": digest([run_id, row_id, experiment_id]).hex()[:32],
                    "run_id": run_id,
                    "row_id": row_id,
                    "experiment_id": experiment_id,
                    "variant_id": variant_id,
                    "transform_overrides_json": stored,
                    "created_at": now,
                }
                connection.execute(insert(assignments_table).values(new))
        if new is not None:
            self.db.proof.note(run_id, "assignment", (new["assignment_id"],))
        if (before["variant_id"], before["transform_overrides_json"]) != (variant_id, stored):
            what = "other overrides" if before["variant_id"] == variant_id else f"variant {variant_id!r}"
            raise AssignmentConflictError(
                f"row {row_id!r} has variant {before['variant_id']!r} in experiment {experiment_id!r}"
                f" of run {run_id!r} already, it can't get {what} too"
            )
        return _assignment(before)

    def get_experiment_assignments(self, run_id: str, experiment_id: str) -> list[ExperimentAssignment]:
        """The assignments of one experiment in one run, as they were made; empty if there are none."""
        query = (
            select(experiment_assignments_table)
            .where(_table.run_id == run_id, _table.experiment_id == experiment_id)
            .order_by(_table.created_at, _table.row_id)
        )
        with transaction(self.db) as connection:
            return [_assignment(row._asdict()) for row in connection.execute(query)]

    def get_variant_metrics(self, run_id: str, experiment_id: str) -> dict[str, dict[str, Any]]:
        """How each variant did, by variant id; computed in the database. The unit is the assigned row.

        ``count`` rows were assigned. Of these, ``error_count`` have a token that failed (FAILED,
        QUARANTINED, or a last attempt that did), ``success_count`` have none such and something
        that went well; the others have not been worked on. The rates are of those two together,
        None if there are none.

        Where the engine ran the experiment each variant is measured at its own node, shadows of a paired
        one too; else by the rows that were assigned to it, in all their nodes.

        ``latency_…_ms``: over rows, the time in these nodes of all their tokens, in milliseconds:
        mean, sample variance (ms², None below two rows), and percentiles 50, 95 and 99 with linear
        interpolation. ``tokens_in``, ``tokens_out``, ``tokens_total``, ``cost`` and ``calls`` add
        up the external calls made for the rows. ``refused_count`` are rows for which a model refused
        an answer or a content filter withheld one, ``refused_calls`` such calls, and
        ``refusal_rate`` the rows' share of those that succeeded or failed.
        """
        values: dict[str, Any] = {"run_id": run_id, "experiment_id": experiment_id}
        with transaction(self.db) as connection:
            dialect = connection.dialect.name
            config = connection.execute(_EXPERIMENT, {**values, "node_id": f"experiment:{experiment_id}"})
            found = config.scalar()
            if found is None:
                query, names = text(VARIANT_METRICS[dialect]), {}
            else:
                nodes = orjson.loads(found)["nodes"]
                names = {node: variant for variant, node in nodes.items()}
                variant, node = next(iter(nodes.items()))
                values["paired"] = int(orjson.loads(found)["experiment"]["mode"] == "paired")
                values |= {"nodes": list(names), "prefix": node.removesuffix(variant)}
                query = text(NODE_METRICS[dialect]).bindparams(bindparam("nodes", expanding=True))
            return {
                names.get(row["variant_id"], row["variant_id"]): {
                    name: value for name, value in row.items() if name != "variant_id"
                }
                for row in connection.execute(query, values).mappings()
            }


def _assignment(row: Mapping[str, Any]) -> ExperimentAssignment:
    return ExperimentAssignment(
        assignment_id=row["assignment_id"],
        run_id=row["run_id"],
        row_id=row["row_id"],
        experiment_id=row["experiment_id"],
        variant_id=row["variant_id"],
        transform_overrides=orjson.loads(row["transform_overrides_json"]),
        created_at=row["created_at"],
    )
