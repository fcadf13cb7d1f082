"""From the columns that the engine put down: the same readings as from rows, a hundred times faster."""

from collections.abc import Collection, Sequence
from typing import Any

from elspeth.core.landscape.variants.packing import FAILED, LATENCY, PAIR, UNIT, USED, VARIANT
from elspeth.core.landscape.variants.readings import NO_USAGE
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun
from elspeth.experiments.columns import unpack
from elspeth.experiments.kept import Recorded
from elspeth.experiments.merging import USAGE_COLUMNS
from elspeth.experiments.metrics import Metric
from elspeth.experiments.readings import Columns, Readings
from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.values import column_names, values_of

REFUSED = USED + "refused_calls"
Noted = tuple[int, Recorded]
"""The last commit that had something of the experiment, and what it said."""


def names_of(metrics: Sequence[Metric], *, paired: bool) -> set[str]:
    """The columns without which these metrics can't be told."""
    own = {name for metric in metrics for name in column_names(metric)}
    return own | {VARIANT, UNIT, FAILED, LATENCY} | ({PAIR} if paired else set())


def read_columns(
    reader: ExperimentReader, runs: Sequence[ExperimentRun], notes: Sequence[Noted], metrics: Sequence[Metric]
) -> Readings:
    """The readings of these runs (of one phase), units and pairs numbered."""
    numpy = library("numpy")
    paired = runs[0].experiment["mode"] == "paired"
    used = {USED + name for name in USAGE_COLUMNS}
    names = names_of(metrics, paired=paired) | used
    parts = [joined(reader, run, note[0], names) for run, note in zip(runs, notes, strict=True)]
    if paired:
        _number_pairs(parts)
    at = {
        name: numpy.concatenate([_column(part, name) for part in parts])
        for name in sorted({name for part in parts for name in part})
    }
    variants = tuple(runs[0].nodes)
    code = numpy.unique(at.get(UNIT, numpy.zeros(0, "u8")), return_inverse=True)[1]
    empty = numpy.zeros(0)
    variant = at.get(VARIANT, numpy.zeros(0, "i2"))
    readings = Readings(
        variants,
        {metric.config.name: _measured(metric, at, empty) for metric in metrics},
        variant,
        code,
        at.get(PAIR, code),
        at.get(FAILED, empty),
        at[REFUSED] > 0 if REFUSED in at else numpy.zeros(len(variant)),
        at.get(LATENCY, empty),
        [_usage(at, variant == index) for index in range(len(variants))],
    )
    underway = [_underway(notes, index) for index in range(len(variants))]
    readings.assigned_units = [
        len(numpy.unique(code[variant == index])) + more for index, more in enumerate(underway)
    ]
    for _, recorded in notes:
        for name, why in recorded.reasons.items():
            known = readings.metrics[name].reasons if name in readings.metrics else {}
            for reason, count in why.items():
                known[reason] = known.get(reason, 0) + count
    return readings


def joined(
    reader: ExperimentReader, run: ExperimentRun, until: int, names: Collection[str]
) -> dict[str, Any]:
    """One run's columns up to a commit, as arrays. Of usage only where there was any."""
    numpy = library("numpy")
    sizes = {commit: len(unpack(data)) for commit, data in reader.column(run, VARIANT, until).items()}
    found = {}
    for name in names:
        pieces = reader.column(run, name, until)
        if pieces:
            found[name] = numpy.concatenate(
                [
                    unpack(pieces[commit]) if commit in pieces else numpy.zeros(size)
                    for commit, size in sizes.items()
                ]
            )
    return found


def _column(part: dict[str, Any], name: str) -> Any:
    numpy = library("numpy")
    return part[name] if name in part else numpy.zeros(len(part.get(VARIANT, ())))


def _number_pairs(parts: Sequence[dict[str, Any]]) -> None:
    """Pairs of different runs are different pairs."""
    numpy, number = library("numpy"), 0
    for part in parts:
        if PAIR in part:
            found, code = numpy.unique(part[PAIR], return_inverse=True)
            part[PAIR] = code + number
            number += len(found)


def _measured(metric: Metric, at: dict[str, Any], empty: Any) -> Columns:
    values = values_of(metric, lambda name: at.get(name, empty))
    covariate = values.covariate
    if covariate is None:
        covariate = library("numpy").full(len(values.value), float("nan"))
    return Columns(values.value, values.weight, covariate)


def _usage(at: dict[str, Any], mine: Any) -> dict[str, float]:
    found = dict(NO_USAGE)
    if USED + "calls" in at:
        for name in USAGE_COLUMNS:
            found[name] = float(at[USED + name][mine].sum())
        found["tokens_total"] = found["tokens_in"] + found["tokens_out"]
        found["latency_ms"] = float(at[LATENCY][mine & (at[USED + "calls"] > 0)].sum())
    return found


def _underway(notes: Sequence[Noted], index: int) -> int:
    """Units that were assigned and of which nothing has come out."""
    known = [recorded.totals.variants[index] for _, recorded in notes if recorded.totals is not None]
    return sum(one.assigned_units - one.units for one in known)
