"""Experiments as they stand on record: which there are, which variant is better, and on which rows."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from elspeth.api.database import default_database_url
from elspeth.contracts.errors import ConfigurationError, NotFoundError
from elspeth.core.config import MetricConfig, load_pipeline
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun
from elspeth.experiments.analysis import Analysis, analyse, choose
from elspeth.experiments.flips import Flip, flips
from elspeth.experiments.judgements import Pair, pairs
from elspeth.experiments.kept import read_recorded
from elspeth.experiments.metrics import compile_metrics
from elspeth.experiments.report.html import html
from elspeth.experiments.report.markdown import markdown, notes
from elspeth.experiments.report.plain import plain

__all__ = [
    "ExperimentReport",
    "ExperimentSummary",
    "Flip",
    "Pair",
    "compare_experiment",
    "experiment_flips",
    "experiment_pairs",
    "list_experiments",
]


@dataclass(frozen=True, slots=True)
class ExperimentSummary:
    """One experiment on record. ``assigned`` are rows per variant in the newest run that had it."""

    experiment_id: str
    name: str
    mode: str
    transform: str
    variants: tuple[str, ...]
    runs: int
    phases: int
    latest_run: str
    latest_status: str
    assigned: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "experiment_id": self.experiment_id,
            "name": self.name,
            "mode": self.mode,
            "transform": self.transform,
            "variants": list(self.variants),
            "runs": self.runs,
            "phases": self.phases,
            "latest_run": self.latest_run,
            "latest_status": self.latest_status,
            "assigned": self.assigned,
        }


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """An experiment compared; ``analysis`` holds every figure as typed values."""

    analysis: Analysis

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values: the shape of ``elspeth experiment compare --json``."""
        return plain(self.analysis)

    def to_markdown(self) -> str:
        """For a pull request."""
        return markdown(self.analysis)

    def to_html(self) -> str:
        """One page that needs nothing else."""
        return html(self.analysis)

    def notes(self, *, of_metrics: bool = True) -> list[str]:
        """What a reader of the figures has to know; with or without what is said of single metrics."""
        return notes(self.analysis, of_metrics=of_metrics)

    def _repr_html_(self) -> str:
        return self.to_html()


def list_experiments(database: str | None = None) -> list[ExperimentSummary]:
    """Every experiment on record, the one of the newest run first. Loads nothing for statistics."""
    with _reader(database) as reader:
        by_id: dict[str, list[ExperimentRun]] = {}
        for run in reader.runs():
            by_id.setdefault(run.experiment_id, []).append(run)
        return [_summary(reader, runs) for runs in by_id.values()]


def compare_experiment(
    experiment_id: str,
    database: str | None = None,
    *,
    runs: Sequence[str] = (),
    metrics_of: str | os.PathLike[str] | None = None,
    from_rows: bool = False,
) -> ExperimentReport:
    """Compare the variants of an experiment, in its newest run, or in those named (``all``: in all).

    Runs of other phases than the newest are set aside. What the engine added up while it ran is there
    in milliseconds. Metrics that it did not measure (those of ``metrics_of``, a pipeline file with
    this experiment) are read from the rows, 30 µs each, and kept; ``from_rows`` reads the rows
    in any case, and so proves the engine's totals. Raises NotFoundError, ConfigurationError for a
    file, and MissingExtraError where scipy is not installed.
    """
    metrics = None if metrics_of is None else _metrics(metrics_of, experiment_id)
    with _reader(database) as reader:
        return ExperimentReport(analyse(reader, experiment_id, runs, metrics=metrics, from_rows=from_rows))


def _metrics(path: str | os.PathLike[str], experiment_id: str) -> list[MetricConfig]:
    """The metrics that a pipeline file has of an experiment."""
    loaded = load_pipeline(path)
    for index, experiment in enumerate(loaded.settings.experiments):
        if experiment.experiment_id == experiment_id:
            wrong = compile_metrics(experiment)[1]
            if wrong:
                raise ConfigurationError(
                    [loaded.problem(("experiments", index, *one.key), one.what, one.fix) for one in wrong]
                )
            return experiment.metrics
    raise NotFoundError(
        f"{os.fspath(path)} has no experiment {experiment_id!r}",
        fix="name the pipeline file whose metrics are meant",
    )


def experiment_flips(
    experiment_id: str, database: str | None = None, *, runs: Sequence[str] = (), limit: int | None = None
) -> list[Flip]:
    """The rows on which variants of a paired experiment disagree with the control.

    Raises NotFoundError, and UsageError where the experiment splits rows.
    """
    with _reader(database) as reader:
        return list(islice(flips(reader, choose(reader, experiment_id, runs)), limit))


def experiment_pairs(
    experiment_id: str, database: str | None = None, *, runs: Sequence[str] = ()
) -> Iterator[Pair]:
    """Both answers to every row of a paired experiment, for a judge. Raises what `experiment_flips` does."""
    with _reader(database) as reader:
        yield from pairs(reader, choose(reader, experiment_id, runs))


@contextmanager
def _reader(database: str | None) -> Iterator[ExperimentReader]:
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        yield ExperimentReader(db)
    finally:
        db.close()


def _summary(reader: ExperimentReader, runs: Sequence[ExperimentRun]) -> ExperimentSummary:
    newest = runs[0]
    return ExperimentSummary(
        experiment_id=newest.experiment_id,
        name=newest.experiment["name"],
        mode=newest.experiment["mode"],
        transform=newest.transform,
        variants=tuple(newest.nodes),
        runs=len(runs),
        phases=len({run.phase for run in runs}),
        latest_run=newest.run_id,
        latest_status=newest.status,
        assigned=_assigned(reader, newest),
    )


def _assigned(reader: ExperimentReader, run: ExperimentRun) -> dict[str, int]:
    """Rows per variant: as the engine counted them, else counted now."""
    last = reader.recorded(run)
    if last is None:
        return reader.assigned([run])
    counts = zip(run.nodes, read_recorded(last[1]).assigned, strict=True)
    return {variant: rows for variant, rows in counts if rows}
