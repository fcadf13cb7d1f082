"""From the record to columns: one line per row and variant, one column per metric."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elspeth.core.landscape.variants.readings import NO_USAGE
from elspeth.core.landscape.variants.rows import ExperimentReader, ExperimentRun, VariantRow, state_key
from elspeth.experiments.metrics import Known, Metric, NoValueError, Observation, number_of, why_missing

MISSING = math.nan


@dataclass(slots=True)
class Columns:
    """The values of one metric: numerator, denominator, covariate; NaN where there is none."""

    value: Any = field(default_factory=lambda: array("d"))
    weight: Any = field(default_factory=lambda: array("d"))
    covariate: Any = field(default_factory=lambda: array("d"))
    reasons: dict[str, int] = field(default_factory=dict)  # why there is no value → how often


@dataclass(slots=True)
class Readings:
    """Every row of an experiment at every variant that it met.

    Columns are arrays, Python's or numpy's. ``variant`` are indexes in ``variants``; ``unit`` and
    ``pair`` number the units, and the rows that were sent to several variants; ``usage`` adds up
    calls, tokens and cost per variant.
    """

    variants: tuple[str, ...]
    metrics: Mapping[str, Columns]
    variant: Any = field(default_factory=lambda: array("h"))
    unit: Any = field(default_factory=lambda: array("q"))
    pair: Any = field(default_factory=lambda: array("q"))
    failed: Any = field(default_factory=lambda: array("b"))
    refused: Any = field(default_factory=lambda: array("b"))
    """Whether a model refused an answer for the row, or a filter withheld one."""
    duration: Any = field(default_factory=lambda: array("d"))
    usage: list[dict[str, float]] = field(default_factory=list)
    assigned_units: list[int] = field(default_factory=list)
    """Per variant: units that were assigned, whether or not a row of theirs has come to its end."""


def read(reader: ExperimentReader, runs: Sequence[ExperimentRun], metrics: Sequence[Metric]) -> Readings:
    """Read all rows of these runs (of one phase). Takes some 30 µs per row where metrics look at rows."""
    variants = tuple(runs[0].nodes)
    readings = Readings(variants, {metric.config.name: Columns() for metric in metrics})
    readings.usage = [dict(NO_USAGE) for _ in variants]
    collector = _Collector(readings, metrics)
    for run in runs:
        collector.take(reader, run)
    readings.assigned_units = [len(units) for units in collector.units_of]
    return readings


class _Collector:
    def __init__(self, readings: Readings, metrics: Sequence[Metric]) -> None:
        self._readings = readings
        self._metrics = metrics
        self._with_data = any(metric.uses_row for metric in metrics)
        self._codes: dict[str, int] = {}
        self._pairs = 0
        self._known: Known = {}
        self.units_of: list[set[int]] = [set() for _ in readings.variants]

    def take(self, reader: ExperimentReader, run: ExperimentRun) -> None:
        readings = self._readings
        unit_of = self._units(reader, run)
        usage = reader.usage(run)
        index_of = {node: readings.variants.index(variant) for variant, node in run.nodes.items()}
        row_no, siblings = -1, dict[int | None, int]()
        for row in reader.rows(run, with_data=self._with_data):
            if row.status not in ("completed", "failed"):
                continue
            if row.row_no != row_no:
                row_no, siblings = row.row_no, {}
            pair = siblings.get(row.sent_by)
            if pair is None:
                pair = siblings[row.sent_by] = self._pairs
                self._pairs += 1
            unit = unit_of.get(row.row_no)
            if unit is None:
                continue  # it came to the node by another way than through the experiment
            used = usage.get(state_key(run.run_id, row), NO_USAGE)
            index = index_of[row.node_id]
            readings.variant.append(index)
            readings.unit.append(unit)
            readings.pair.append(pair)
            self._look(row, used, index)

    def _units(self, reader: ExperimentReader, run: ExperimentRun) -> dict[int, int]:
        """Row number → number of its unit."""
        paired = run.experiment["mode"] == "paired"
        index_of = {variant: index for index, variant in enumerate(self._readings.variants)}
        unit_of = {}
        for row_no, unit, variant in reader.units(run):
            code = unit_of[row_no] = self._codes.setdefault(unit, len(self._codes))
            for units in self.units_of if paired else (self.units_of[index_of[variant]],):
                units.add(code)
        return unit_of

    def _look(self, row: VariantRow, used: Mapping[str, float], index: int) -> None:
        readings = self._readings
        failed = row.status == "failed"
        readings.failed.append(failed)
        readings.refused.append(used["refused_calls"] > 0)
        # Where calls were made it is they that count: a row may have waited long for its turn.
        duration = used["latency_ms"] if used["calls"] else row.duration_ms
        readings.duration.append(MISSING if duration is None else duration)
        if used is not NO_USAGE:
            total = readings.usage[index]
            for name, value in used.items():
                total[name] += value
        state = {
            "status": row.status,
            "failed": failed,
            "duration_ms": row.duration_ms,
            "attempt": row.attempt,
        }
        seen = Observation(None if failed else row.after, used, state, known=row.before is not None)
        for metric in self._metrics:
            _measure(metric, seen, readings.metrics[metric.config.name], self._known)


def _measure(metric: Metric, seen: Observation, columns: Columns, known: Known) -> None:
    value = weight = covariate = MISSING
    try:
        if seen.row is None and metric.uses_row:
            raise NoValueError(why_missing(failed=seen.state["failed"], purged=not seen.known))
        value = number_of(metric.value, seen, known)
        weight = 1.0 if metric.weight is None else number_of(metric.weight, seen, known)
        covariate = MISSING if metric.covariate is None else number_of(metric.covariate, seen, known)
    except NoValueError as error:
        reason = str(error)[:200]
        # One reason per row would be no summary.
        if reason in columns.reasons or len(columns.reasons) < 20:
            columns.reasons[reason] = columns.reasons.get(reason, 0) + 1
        value = weight = MISSING
    columns.value.append(value)
    columns.weight.append(weight)
    columns.covariate.append(covariate)


def as_arrays(readings: Readings, numpy: Any) -> dict[str, Any]:
    """The columns that are not of a metric, as numpy arrays."""
    return {
        "variant": numpy.asarray(readings.variant, dtype=numpy.int64),
        "unit": numpy.asarray(readings.unit, dtype=numpy.int64),
        "pair": numpy.asarray(readings.pair, dtype=numpy.int64),
        "failed": numpy.asarray(readings.failed, dtype=bool),
        "refused": numpy.asarray(readings.refused, dtype=bool),
        "duration": numpy.asarray(readings.duration, dtype=float),
    }
