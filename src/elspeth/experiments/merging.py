"""Totals that grow: what came out of variants is added commit by commit, and never read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elspeth.core.config import ExperimentConfig
from elspeth.core.landscape.variants.packing import FAILED, LATENCY, PAIR, UNIT, USED, VARIANT
from elspeth.core.landscape.variants.readings import NO_USAGE
from elspeth.experiments.metrics import Metric
from elspeth.experiments.pair_merging import MergedPairs
from elspeth.experiments.statistics.distributions import library
from elspeth.experiments.statistics.moments import Moments
from elspeth.experiments.totals import MetricTotals, Totals, VariantTotals
from elspeth.experiments.unit_book import UnitBook
from elspeth.experiments.values import counted, values_of

USAGE_COLUMNS = ("calls", "failed_calls", "refused_calls", "tokens_in", "tokens_out", "cost")
Reasons = dict[str, dict[str, int]]
"""Metric → why a row has no value → how many rows."""


@dataclass(slots=True)
class _MergedMetric:
    """One metric in one variant. Of each unit: values, weights, rows, and covariates if there are any."""

    metric: Metric
    rows: int = 0
    without: int = 0
    single: bool = True
    moments: Moments = field(init=False)

    def __post_init__(self) -> None:
        self.moments = Moments(4 if self.metric.covariate is not None else 2)

    @property
    def width(self) -> int:
        return 4 if self.metric.covariate is not None else 3

    def change(self, before: Any, after: Any, added: Any) -> None:
        touched = added[:, 2] > 0
        before, after = before[touched], after[touched]
        self.single = self.single and bool((after[:, 2] == 1).all())
        self.moments.change(self._vectors(before[before[:, 2] > 0]), self._vectors(after))

    def _vectors(self, sums: Any) -> Any:
        if self.metric.covariate is None:
            return sums[:, :2]
        numpy = library("numpy")
        rows = sums[:, 2]
        return numpy.column_stack([sums[:, 0], sums[:, 1], sums[:, 0] / rows, sums[:, 3] / rows])

    def totals(self, reasons: Mapping[str, int]) -> MetricTotals:
        adjusted = self.moments.sums(2, 3) if self.metric.covariate is not None else None
        return MetricTotals(
            self.rows, self.without, self.single, self.moments.sums(0, 1), adjusted, None, "", dict(reasons)
        )


@dataclass(slots=True)
class _MergedVariant:
    metrics: list[_MergedMetric]
    book: UnitBook
    rows: int = 0
    failed: int = 0
    refused: int = 0
    usage: dict[str, float] = field(default_factory=lambda: dict(NO_USAGE))


class Merging:
    """An experiment's totals in one run, as far as it has come."""

    def __init__(self, experiment: ExperimentConfig, metrics: Sequence[Metric]) -> None:
        self._np = library("numpy")
        self._metrics = metrics
        self._ids = [variant.variant_id for variant in experiment.variants]
        self._variants = []
        for _ in self._ids:
            mine = [_MergedMetric(metric) for metric in metrics]
            self._variants.append(_MergedVariant(mine, UnitBook(sum(one.width for one in mine))))
        self._pairs: MergedPairs | None = None
        if experiment.mode == "paired":
            self._pairs = MergedPairs(metrics, len(self._ids), self._ids.index(experiment.control_id))

    def add(self, columns: Mapping[str, Any]) -> None:
        """What one commit brought: arrays by column, one value per token that came out of a variant."""
        variant = columns[VARIANT]
        if not len(variant):
            return
        unit = columns[UNIT]
        measured = [values_of(metric, columns.__getitem__) for metric in self._metrics]
        values = [
            (one.value, *counted(metric, one.value, one.weight), one.covariate)
            for metric, one in zip(self._metrics, measured, strict=True)
        ]
        for index, mine in enumerate(self._variants):
            here = self._np.flatnonzero(variant == index)
            if len(here):
                self._add_to(mine, here, unit[here], values)
                mine.failed += int(columns[FAILED][here].sum())
                self._add_usage(mine, here, columns)
        if self._pairs is not None:
            self._pairs.add(columns[PAIR], variant, unit, [(one[1], one[2]) for one in values])

    def _add_to(self, mine: _MergedVariant, here: Any, unit: Any, values: Sequence[Any]) -> None:
        np = self._np
        mine.rows += len(here)
        keys, code = np.unique(unit, return_inverse=True)
        parts = []
        for one, (raw, value, weight, covariate) in zip(mine.metrics, values, strict=True):
            there = ~np.isnan(value[here])
            one.rows += int(there.sum())
            one.without += int(np.isnan(raw[here]).sum())
            at, codes = here[there], code[there]
            parts += [np.bincount(codes, of[at], len(keys)) for of in (value, weight)]
            parts.append(np.bincount(codes, minlength=len(keys)).astype(float))
            if covariate is not None:
                parts.append(np.bincount(codes, covariate[at], len(keys)))
        added = np.column_stack(parts) if parts else np.zeros((len(keys), 0))
        mine.book.repeated = mine.book.repeated or len(keys) < len(unit)
        before = mine.book.add(keys, added)
        after, start = before + added, 0
        for one in mine.metrics:
            where = slice(start, start + one.width)
            one.change(before[:, where], after[:, where], added[:, where])
            start += one.width

    def _add_usage(self, mine: _MergedVariant, here: Any, columns: Mapping[str, Any]) -> None:
        if USED + "calls" not in columns:
            return
        usage = mine.usage
        for name in USAGE_COLUMNS:
            usage[name] += float(columns[USED + name][here].sum())
        usage["tokens_total"] = usage["tokens_in"] + usage["tokens_out"]
        mine.refused += int((columns[USED + "refused_calls"][here] > 0).sum())
        called = here[columns[USED + "calls"][here] > 0]
        usage["latency_ms"] += float(columns[LATENCY][called].sum())

    def totals(self, underway: Sequence[tuple[int, bytes]], reasons: Reasons) -> Totals | None:
        """Everything so far, without quantiles; None where too many units came again.

        ``underway`` are variant and unit of rows that were assigned and have not come out.
        """
        pairs = self._pairs
        if not all(one.book.complete for one in self._variants) or (pairs is not None and not pairs.complete):
            return None
        found = []
        for index, mine in enumerate(self._variants):
            found.append(
                VariantTotals(
                    self._ids[index],
                    mine.book.count + self._new_units(mine, {key for of, key in underway if of == index}),
                    mine.book.count,
                    mine.rows,
                    mine.failed,
                    mine.refused,
                    None,
                    dict(mine.usage),
                    {one.metric.config.name: one.totals(reasons.get(one.metric.config.name, {}))
                     for one in mine.metrics},
                    {} if pairs is None else pairs.totals(index),
                )
            )  # fmt: skip
        return Totals(tuple(found), 0, 0)

    def _new_units(self, mine: _MergedVariant, keys: set[bytes]) -> int:
        if not keys:
            return 0
        numbers = self._np.array([int.from_bytes(key, "big") for key in sorted(keys)], dtype="u8")
        return int((~mine.book.contains(numbers)).sum())
