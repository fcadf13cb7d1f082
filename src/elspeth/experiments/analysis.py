"""One experiment looked at: runs chosen, rows read or totals taken from the last time, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from elspeth.contracts.errors import NotFoundError
from elspeth.core.canonical import digest
from elspeth.core.clock import Clock
from elspeth.core.config import ExperimentConfig
from elspeth.core.landscape.variant_rows import ExperimentReader, ExperimentRun
from elspeth.experiments.comparison import Comparison, compare
from elspeth.experiments.metrics import compile_metrics
from elspeth.experiments.readings import read
from elspeth.experiments.totals import Totals, total

FINISHED = frozenset({"completed", "completed_with_failures", "empty"})
_VERSION = 3  # of what is kept; a new one makes everything be added up anew


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a look at the record, because it took long: all that grows with the rows."""

    assigned: Mapping[str, int]
    unexposed: int
    unassigned: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class Analysis:
    """An experiment in the runs of one phase.

    ``assigned`` are rows per variant, ``unexposed`` those that took no part, ``unassigned`` those
    without a unit. ``set_aside`` are runs that were asked for, but are of another phase.
    """

    experiment: ExperimentConfig
    transform: str
    phase: str
    runs: tuple[ExperimentRun, ...]
    set_aside: tuple[ExperimentRun, ...]
    assigned: Mapping[str, int]
    unexposed: int
    unassigned: int
    totals: Totals
    comparison: Comparison


def choose(reader: ExperimentReader, experiment_id: str, runs: Sequence[str]) -> list[ExperimentRun]:
    """The runs meant: those named, all (``all``), or the newest one that had this experiment, newest first.

    Raises NotFoundError for an experiment or a run that is not on record.
    """
    every = reader.runs()
    mine = [run for run in every if run.experiment_id == experiment_id]
    if not mine:
        known = ", ".join(sorted({run.experiment_id for run in every}))
        raise NotFoundError(
            f"there is no experiment {experiment_id!r} on record",
            fix=f"on record are: {known}" if known else "no run on record had an experiment",
        )
    if not runs or list(runs) == ["latest"]:
        return mine[:1]
    if list(runs) == ["all"]:
        return mine
    by_id = {run.run_id: run for run in mine}
    for name in runs:
        if name not in by_id:
            raise NotFoundError(
                f"experiment {experiment_id!r} was not part of a run {name!r}",
                fix=f"it was part of: {', '.join(by_id)}",
            )
    return [run for run in mine if run.run_id in runs]


def analyse(reader: ExperimentReader, experiment_id: str, runs: Sequence[str] = ()) -> Analysis:
    """Read, add up and compare. Raises NotFoundError, and MissingExtraError without scipy."""
    chosen = choose(reader, experiment_id, runs)
    newest = chosen[0]
    together = [run for run in chosen if run.phase == newest.phase]
    experiment = ExperimentConfig.model_validate(dict(newest.experiment))
    kept = look(reader, together, experiment)
    # Adding run to run is looking again and again: only one whole run is a fixed n.
    final = len(together) == 1 and newest.status in FINISHED
    return Analysis(
        experiment=experiment,
        transform=newest.transform,
        phase=newest.phase,
        runs=tuple(together),
        set_aside=tuple(run for run in chosen if run.phase != newest.phase),
        assigned=kept.assigned,
        unexposed=kept.unexposed,
        unassigned=kept.unassigned,
        totals=kept.totals,
        comparison=compare(experiment, kept.totals, final=final),
    )


def look(reader: ExperimentReader, runs: Sequence[ExperimentRun], experiment: ExperimentConfig) -> Kept:
    """These runs added up: as kept, if nothing has changed since, else now; then that is kept."""
    adapter = TypeAdapter(Kept)
    commits = reader.commits(runs)
    key = digest(
        [
            _VERSION,
            experiment.model_dump(mode="json"),
            runs[0].phase,
            [[run.run_id, commits.get(run.run_no, 0)] for run in runs],
        ]
    ).hex()
    kept = reader.kept(key)
    if kept is not None:
        return adapter.validate_json(kept)
    metrics, _ = compile_metrics(experiment)
    control = None
    if experiment.mode == "paired":
        control = [variant.variant_id for variant in experiment.variants].index(experiment.control_id)
    found = Kept(
        assigned=reader.assigned(runs),
        unexposed=reader.unexposed(runs) if experiment.exposure < 100 else 0,
        unassigned=reader.unassigned(runs),
        totals=total(read(reader, runs, metrics), metrics, control=control),
    )
    if any(run.status == "running" for run in runs):
        return found  # the next commit makes it old, and a reader should not stand in a run's way
    reader.keep(key, experiment.experiment_id, adapter.dump_json(found).decode(), Clock().now())
    return found
