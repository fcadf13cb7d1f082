"""From columns to totals: all that a comparison needs, small enough to keep and to add up again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elspeth.experiments.metrics import ROWS, Metric
from elspeth.experiments.readings import Columns, Readings, as_arrays
from elspeth.experiments.statistics.distributions import binomial_two_sided, library
from elspeth.experiments.statistics.effects import CannotTellError
from elspeth.experiments.statistics.paired import Discordance, WinTieLoss
from elspeth.experiments.statistics.quantiles import Quantile, quantile, quantile_values
from elspeth.experiments.statistics.sums import Sums
from elspeth.experiments.values import counted


@dataclass(frozen=True, slots=True)
class MetricTotals:
    """One metric in one variant.

    ``units``: x is a unit's values added up, y its weights (rows, where each row counts one).
    ``adjusted``: x is a unit's mean value, y its mean covariate. ``rows`` have a value, ``without`` have
    none: the expression failed, or the variant did.
    """

    rows: int
    without: int
    single: bool
    """Every unit has one row."""
    units: Sums
    adjusted: Sums | None = None
    quantile: Quantile | None = None
    quantile_problem: str = ""
    reasons: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PairTotals:
    """One metric in pairs of a variant with the control.

    ``units``: x is what a unit's pairs differ by, added up, y their number. ``spread`` is the variance
    of the difference of ratios, by unit.
    """

    pairs: int
    units: Sums
    single: bool
    wins: int
    ties: int
    losses: int
    discordance: Discordance | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class VariantTotals:
    """One variant. Of its ``rows`` so many ``failed``, and for so many a model ``refused`` an answer.

    ``latency`` are the 50th, 95th and 99th percentiles over rows, in ms: of the calls made for a row,
    or where there are none of the step itself. None without rows.
    """

    variant_id: str
    assigned_units: int
    units: int
    rows: int
    failed: int
    refused: int
    latency: tuple[float, float, float] | None
    usage: Mapping[str, float]
    metrics: Mapping[str, MetricTotals]
    pairs: Mapping[str, PairTotals]

    @property
    def cost_per_success(self) -> float | None:
        """Cost of all rows by rows that succeeded; None if none did."""
        good = self.rows - self.failed
        return self.usage["cost"] / good if good else None


@dataclass(frozen=True, slots=True)
class Totals:
    """An experiment in some runs of one phase. ``excluded_units`` were seen in two variants of a split."""

    variants: tuple[VariantTotals, ...]
    excluded_units: int
    excluded_rows: int


def total(readings: Readings, metrics: Sequence[Metric], *, control: int | None) -> Totals:
    """Add up. ``control`` is the index of the control in a paired experiment, None in a split."""
    return _Totalling(readings, metrics, control).total()


class _Totalling:
    def __init__(self, readings: Readings, metrics: Sequence[Metric], control: int | None) -> None:
        self._np = library("numpy")
        self._readings = readings
        self._metrics = metrics
        self._control = control
        self._at = as_arrays(readings, self._np)
        self._keep = self._np.ones(len(self._at["variant"]), dtype=bool)
        self._excluded = 0

    def total(self) -> Totals:
        if self._control is None:
            self._exclude()
        columns = {
            metric.config.name: self._columns(metric, self._readings.metrics[metric.config.name])
            for metric in self._metrics
        }
        found = tuple(self._variant(index, columns) for index in range(len(self._readings.variants)))
        return Totals(found, self._excluded, int((~self._keep).sum()))

    def _exclude(self) -> None:
        """Take out units that were seen in two variants."""
        np, unit, variant = self._np, self._at["unit"], self._at["variant"]
        if not len(unit):
            return
        first = np.full(int(unit.max()) + 1, -1)
        first[unit] = variant
        mixed = np.unique(unit[first[unit] != variant])
        self._excluded = len(mixed)
        if len(mixed):
            self._keep = ~np.isin(unit, mixed)

    def _columns(self, metric: Metric, columns: Columns) -> dict[str, Any]:
        raw, weight, covariate = (
            self._np.asarray(part, dtype=float) for part in (columns.value, columns.weight, columns.covariate)
        )
        value, weight = counted(metric, raw, weight)
        return {"raw": raw, "value": value, "weight": weight, "covariate": covariate}

    def _variant(self, index: int, columns: Mapping[str, Mapping[str, Any]]) -> VariantTotals:
        np, readings = self._np, self._readings
        mine = self._keep & (self._at["variant"] == index)
        latency = percentiles(self._at["duration"][mine & ~np.isnan(self._at["duration"])])
        paired = self._control is not None and index != self._control
        return VariantTotals(
            readings.variants[index],
            readings.assigned_units[index],
            len(np.unique(self._at["unit"][mine])),
            int(mine.sum()),
            int(self._at["failed"][mine].sum()),
            int(self._at["refused"][mine].sum()),
            latency,
            readings.usage[index],
            {m.config.name: self._metric(m, mine, columns[m.config.name]) for m in self._metrics},
            {m.config.name: self._pairs(m, mine, columns[m.config.name]) for m in self._metrics}
            if paired
            else {},
        )

    def _metric(self, metric: Metric, mine: Any, columns: Mapping[str, Any]) -> MetricTotals:
        np = self._np
        without = int(np.isnan(columns["raw"][mine]).sum())
        there = mine & ~np.isnan(columns["value"])
        value, weight, unit = columns["value"][there], columns["weight"][there], self._at["unit"][there]
        units, code = np.unique(unit, return_inverse=True)
        x, y = (np.bincount(code, part, len(units)) for part in (value, weight))
        counts = np.bincount(code, minlength=len(units))
        adjusted = None
        if metric.covariate is not None:
            covariate = columns["covariate"][there]
            adjusted = sums_of_arrays(x / counts, np.bincount(code, covariate, len(units)) / counts)
        found, problem = None, ""
        if metric.config.q is not None:
            try:
                found = quantile(value, code, metric.config.q)
            except CannotTellError as error:
                problem = str(error)
        return MetricTotals(
            rows=len(value),
            without=without,
            single=bool((counts == 1).all()),
            units=sums_of_arrays(x, y),
            adjusted=adjusted,
            quantile=found,
            quantile_problem=problem,
            reasons=self._readings.metrics[metric.config.name].reasons,
        )

    def _pairs(self, metric: Metric, mine: Any, columns: Mapping[str, Any]) -> PairTotals:
        np = self._np
        there = ~np.isnan(columns["value"])
        control = np.flatnonzero(there & (self._at["variant"] == self._control))
        variant = np.flatnonzero(there & mine)
        _, left, right = np.intersect1d(
            self._at["pair"][control], self._at["pair"][variant], return_indices=True
        )
        c, v = control[left], variant[right]
        value, weight = columns["value"], columns["weight"]
        difference = value[v] - value[c]
        units, code = np.unique(self._at["unit"][c], return_inverse=True)
        counts = np.bincount(code, minlength=len(units))
        table = None
        if metric.config.type == "proportion":
            yes_c, yes_v = value[c] > 0, value[v] > 0
            table = Discordance(
                int((yes_c & yes_v).sum()), int((~yes_c & yes_v).sum()),
                int((yes_c & ~yes_v).sum()), int((~yes_c & ~yes_v).sum()),
            )  # fmt: skip
        spread = None
        if has_spread(metric) and len(units) > 1 and weight[c].sum() and weight[v].sum():
            # The delta method's linear part of each pair, added up by unit.
            ratios = [value[i].sum() / weight[i].sum() for i in (c, v)]
            parts = [
                (value[i] - ratio * weight[i]) / weight[i].mean()
                for i, ratio in zip((c, v), ratios, strict=True)
            ]
            by_unit = np.bincount(code, parts[1] - parts[0], len(units))
            spread = float(by_unit.var(ddof=1) * len(units) / len(c) ** 2)
        return PairTotals(
            pairs=len(c),
            units=sums_of_arrays(np.bincount(code, difference, len(units)), counts.astype(float)),
            single=bool((counts == 1).all()),
            wins=int((difference > 0).sum()),
            ties=int((difference == 0).sum()),
            losses=int((difference < 0).sum()),
            discordance=table,
            spread=spread,
        )


def percentiles(latency: Any) -> tuple[float, float, float] | None:
    """The 50th, 95th and 99th; None without values."""
    if not len(latency):
        return None
    p50, p95, p99 = quantile_values(latency, (0.5, 0.95, 0.99))
    return p50, p95, p99


def has_spread(metric: Metric) -> bool:
    """Whether pairs are compared by their ratios: then the sums of differences do not tell."""
    return metric.config.type == "ratio" and metric.config.per != ROWS


def sums_of_arrays(x: Any, y: Any) -> Sums:
    """`sums_of` for numpy arrays."""
    if not len(x):
        return Sums()
    shift_x, shift_y = float(x[0]), float(y[0])
    dx, dy = x - shift_x, y - shift_y
    return Sums(
        len(x), float(dx.sum()), float((dx * dx).sum()), float(dy.sum()), float((dy * dy).sum()),
        float((dx * dy).sum()), shift_x, shift_y,
    )  # fmt: skip


def sign_test(pairs: PairTotals, *, increase_is_good: bool) -> WinTieLoss:
    """Wins of the variant, in the direction that is good."""
    wins, losses = (pairs.wins, pairs.losses) if increase_is_good else (pairs.losses, pairs.wins)
    return WinTieLoss(wins, pairs.ties, losses, binomial_two_sided(wins, wins + losses))
