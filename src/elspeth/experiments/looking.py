"""Where an experiment's totals come from: the engine's own, its columns, or the rows themselves."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from elspeth.core.canonical import digest
from elspeth.core.clock import Clock
from elspeth.core.config import ExperimentConfig
from elspeth.core.landscape.variants.packing import EXPRESSION, LATENCY, UNIT, VARIANT
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun
from elspeth.experiments.column_readings import Noted, joined, names_of, read_columns
from elspeth.experiments.kept import Kept, metrics_key, read_kept, read_recorded, write_kept
from elspeth.experiments.metrics import Metric, compile_metrics
from elspeth.experiments.readings import read
from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.statistics.effects import CannotTellError
from elspeth.experiments.statistics.quantiles import quantile
from elspeth.experiments.totals import MetricTotals, Totals, percentiles, total

_VERSION = 5  # of what is kept; a new one makes everything be added up anew


class Way(StrEnum):
    """What the figures come from. All ways give the same figures."""

    TOTALS = "totals"
    COLUMNS = "columns"
    ROWS = "rows"


def look(
    reader: ExperimentReader,
    runs: Sequence[ExperimentRun],
    experiment: ExperimentConfig,
    *,
    from_rows: bool = False,
) -> tuple[Kept, Way]:
    """These runs added up, by the quickest way there is.

    The engine's totals do for one run and its own metrics; for several runs, or totals that were
    given up, its columns; for metrics that the run did not measure, and for rows that were assigned
    by recorder calls, the rows are read (30 µs each) and what was added up is kept.
    """
    metrics, _ = compile_metrics(experiment)
    notes = None if from_rows else _notes(reader, runs, metrics)
    if notes is not None and len(notes) == 1:
        commit_no, recorded = notes[0]
        if recorded.totals is not None and recorded.metrics == metrics_key(experiment):
            totals = _with_quantiles(reader, runs[0], commit_no, recorded.totals, metrics)
            return _standing(runs, notes, totals), Way.TOTALS
    way = Way.ROWS if notes is None else Way.COLUMNS
    key = _key(reader, runs, experiment)
    known = None if from_rows else reader.kept(key)
    if known is not None:
        return read_kept(known), way
    control = None
    if experiment.mode == "paired":
        control = [variant.variant_id for variant in experiment.variants].index(experiment.control_id)
    if notes is None:
        found = Kept(
            assigned=reader.assigned(runs),
            unexposed=reader.unexposed(runs) if experiment.exposure < 100 else 0,
            unassigned=reader.unassigned(runs),
            totals=total(read(reader, runs, metrics), metrics, control=control),
        )
    else:
        found = _standing(
            runs, notes, total(read_columns(reader, runs, notes, metrics), metrics, control=control)
        )
    # What is running is old with the next commit, and a reader should not stand in a run's way.
    if not from_rows and all(run.status != "running" for run in runs):
        reader.keep(key, experiment.experiment_id, write_kept(found), Clock().now())
    return found, way


def _key(reader: ExperimentReader, runs: Sequence[ExperimentRun], experiment: ExperimentConfig) -> str:
    """What changes when anything that was added up does."""
    commits = reader.commits(runs)
    whole = [_VERSION, experiment.model_dump(mode="json"), runs[0].phase]
    return digest([*whole, [[run.run_id, commits.get(run.run_no, 0)] for run in runs]]).hex()


def _notes(
    reader: ExperimentReader, runs: Sequence[ExperimentRun], metrics: Sequence[Metric]
) -> list[Noted] | None:
    """What the engine put down of each run; None where that does not do, and rows have to be read."""
    found = []
    wanted = names_of(metrics, paired=runs[0].experiment["mode"] == "paired")
    for run in runs:
        last = reader.recorded(run)
        if last is None:
            return None
        recorded = read_recorded(last[1])
        names = reader.reading_names(run)
        if names and not wanted <= names:
            return None
        if reader.assigned_by_calls(run):
            return None
        found.append((last[0], recorded))
    return found


def _standing(runs: Sequence[ExperimentRun], notes: Sequence[Noted], totals: Totals) -> Kept:
    assigned: dict[str, int] = {}
    for run, (_, recorded) in zip(runs, notes, strict=True):
        for variant, rows in zip(run.nodes, recorded.assigned, strict=True):
            if rows:
                assigned[variant] = assigned.get(variant, 0) + rows
    recorded_of = [recorded for _, recorded in notes]
    return Kept(
        assigned=assigned,
        unexposed=sum(one.unexposed for one in recorded_of),
        unassigned=sum(one.unassigned for one in recorded_of),
        totals=totals,
    )


def _with_quantiles(
    reader: ExperimentReader, run: ExperimentRun, until: int, totals: Totals, metrics: Sequence[Metric]
) -> Totals:
    """Latencies and quantiles do not add up: they are taken from their columns, exactly."""
    numpy = library("numpy")
    asked = [metric for metric in metrics if metric.config.q is not None]
    single = all(one.metrics[metric.config.name].single for one in totals.variants for metric in asked)
    names = {VARIANT, LATENCY} | (set() if single else {UNIT})
    names |= {EXPRESSION + metric.value.text for metric in asked}
    at = joined(reader, run, until, names)
    if VARIANT not in at:
        at = {name: numpy.zeros(0) for name in names}
    found = []
    for index, variant in enumerate(totals.variants):
        mine = at[VARIANT] == index
        more: dict[str, MetricTotals] = {}
        for metric in asked:
            values = at[EXPRESSION + metric.value.text][mine]
            there = ~numpy.isnan(values)
            before = variant.metrics[metric.config.name]
            units = None if single else at[UNIT][mine][there]
            more[metric.config.name] = _quantiled(before, metric, values[there], units)
        found.append(
            replace(variant, latency=percentiles(at[LATENCY][mine]), metrics={**variant.metrics, **more})
        )
    return replace(totals, variants=tuple(found))


def _quantiled(before: MetricTotals, metric: Metric, values: Any, units: Any) -> MetricTotals:
    assert metric.config.q is not None
    try:
        return replace(before, quantile=quantile(values, units, metric.config.q))
    except CannotTellError as error:
        return replace(before, quantile_problem=str(error))
