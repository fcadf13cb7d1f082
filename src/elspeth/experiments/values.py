"""What a metric makes of the columns of an experiment: numerators, denominators, covariates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elspeth.core.landscape.variants.packing import EXPRESSION
from elspeth.experiments.metrics import Metric
from elspeth.experiments.statistics.distributions import library


@dataclass(frozen=True, slots=True)
class Values:
    """One metric, a value per row: numpy arrays of floats, NaN where there is none.

    ``covariate`` is None where the metric has none.
    """

    value: Any
    weight: Any
    covariate: Any


def column_names(metric: Metric) -> list[str]:
    """The columns that hold the metric's expressions."""
    parts = (metric.value, metric.weight, metric.covariate)
    return [EXPRESSION + part.text for part in parts if part is not None]


def values_of(metric: Metric, column: Callable[[str], Any]) -> Values:
    """A metric's values, as measured: where one of its expressions has none, the row has none."""
    numpy = library("numpy")
    value = column(EXPRESSION + metric.value.text)
    missing = numpy.isnan(value)
    weight = numpy.ones(len(value)) if metric.weight is None else column(EXPRESSION + metric.weight.text)
    covariate = None
    if metric.covariate is not None:
        covariate = column(EXPRESSION + metric.covariate.text)
        missing = missing | numpy.isnan(covariate)
    missing = missing | numpy.isnan(weight)
    if missing.any():
        value, weight = numpy.where(missing, numpy.nan, value), numpy.where(missing, numpy.nan, weight)
    return Values(value, weight, covariate)


def counted(metric: Metric, value: Any, weight: Any) -> tuple[Any, Any]:
    """Value and weight as they count: of a proportion a row without a value is no success.

    A failed variant is an outcome.
    """
    if metric.config.type != "proportion":
        return value, weight
    numpy = library("numpy")
    missing = numpy.isnan(value)
    return numpy.where(missing, 0.0, (value != 0).astype(float)), numpy.where(missing, 1.0, weight)
