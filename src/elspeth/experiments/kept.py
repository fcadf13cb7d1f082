"""Totals as they are kept: by the engine with every commit, and by whoever added up what it had not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from pydantic import TypeAdapter

from elspeth.core.canonical import digest
from elspeth.core.config import ExperimentConfig
from elspeth.experiments.totals import Totals


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the engine put down with one commit: everything up to there.

    ``assigned`` are rows per variant, in order. ``metrics`` stands for their definitions. ``totals`` is
    None where they could not be kept up to date: then the columns have to be read.
    """

    assigned: Sequence[int]
    unexposed: int
    unassigned: int
    reasons: Mapping[str, Mapping[str, int]]
    metrics: str
    totals: Totals | None
    judged: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Variant → what a judge said of its answers → how often."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An experiment in some runs, added up. ``assigned`` are rows per variant."""

    assigned: Mapping[str, int]
    unexposed: int
    unassigned: int
    totals: Totals


def metrics_key(experiment: ExperimentConfig) -> str:
    """What changes when a metric is measured in another way; not with goals, limits or quantiles."""
    what = [[m.name, m.type, m.value, m.per, m.covariate] for m in experiment.metrics]
    return digest([experiment.mode, experiment.control_id, what]).hex()[:16]


def write_recorded(recorded: Recorded) -> str:
    """As JSON."""
    return _recorded().dump_json(recorded).decode()


def read_recorded(text: str) -> Recorded:
    """What `write_recorded` wrote."""
    return _recorded().validate_json(text)


def write_kept(kept: Kept) -> str:
    """As JSON."""
    return _kept().dump_json(kept).decode()


def read_kept(text: str) -> Kept:
    """What `write_kept` wrote."""
    return _kept().validate_json(text)


@cache
def _recorded() -> TypeAdapter[Recorded]:
    return TypeAdapter(Recorded)


@cache
def _kept() -> TypeAdapter[Kept]:
    return TypeAdapter(Kept)
