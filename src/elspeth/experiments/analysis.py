"""One experiment looked at: runs chosen, totals found or added up, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elspeth.contracts.errors import NotFoundError
from elspeth.core.config import ExperimentConfig, MetricConfig
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun
from elspeth.experiments.comparison import Comparison, compare
from elspeth.experiments.judgements import Judgement, judgements
from elspeth.experiments.looking import Way, look
from elspeth.experiments.totals import Totals

FINISHED = frozenset({"completed", "completed_with_failures", "empty"})


@dataclass(frozen=True, slots=True)
class Analysis:
    """An experiment in the runs of one phase.

    ``assigned`` are rows per variant, ``unexposed`` those that took no part, ``unassigned`` those
    without a unit. ``set_aside`` are runs that were asked for, but are of another phase. ``way`` says
    what the figures come from, ``judgements`` what judges said of the pairs.
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
    way: Way
    judgements: tuple[Judgement, ...] = ()


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


def analyse(
    reader: ExperimentReader,
    experiment_id: str,
    runs: Sequence[str] = (),
    *,
    metrics: Sequence[MetricConfig] | None = None,
    from_rows: bool = False,
) -> Analysis:
    """Read, add up and compare. Raises NotFoundError, and MissingExtraError without scipy.

    ``metrics``: others than the run's own. ``from_rows``: believe no totals, read the rows.
    """
    chosen = choose(reader, experiment_id, runs)
    newest = chosen[0]
    together = [run for run in chosen if run.phase == newest.phase]
    experiment = ExperimentConfig.model_validate(dict(newest.experiment))
    if metrics is not None:
        experiment = experiment.model_copy(update={"metrics": list(metrics)})
    kept, way = look(reader, together, experiment, from_rows=from_rows)
    # Adding run to run is looking again and again: only one whole run is a fixed n.
    final = len(together) == 1 and newest.status in FINISHED and _enough(experiment, kept.totals)
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
        way=way,
        judgements=tuple(judgements(reader, together, from_rows=from_rows))
        if experiment.mode == "paired"
        else (),
    )


def _enough(experiment: ExperimentConfig, totals: Totals) -> bool:
    """Whether there are as many units as were planned."""
    if experiment.planned_units is None:
        return True
    units = [variant.units for variant in totals.variants]
    return (max(units) if experiment.mode == "paired" else sum(units)) >= experiment.planned_units
