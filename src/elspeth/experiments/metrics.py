"""What a metric computes for one row: its expressions over row, usage and state."""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elspeth.contracts.errors import ExpressionError
from elspeth.core.config import ExperimentConfig, KeyPath, MetricConfig
from elspeth.core.expressions import EVALUATION_ERRORS, Expression, compile_expression, describe

NAMES = ("row", "usage", "state")
USAGE = (
    "cost", "tokens_in", "tokens_out", "tokens_total", "calls", "failed_calls", "refused_calls", "latency_ms",
)  # fmt: skip
"""What the calls add up to that the varied node made for a row."""

STATE = ("status", "failed", "duration_ms", "attempt")
"""What is on record of the varied node's (last) work on a row."""

ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its expressions compiled. ``weight`` is None where each row counts one."""

    config: MetricConfig
    value: Expression
    weight: Expression | None
    covariate: Expression | None

    @property
    def uses_row(self) -> bool:
        """Whether it needs the row that came out: then it has no value where the variant failed."""
        return any(mentions(part.tree, "row") for part in self.parts)

    @property
    def parts(self) -> list[Expression]:
        """Its expressions."""
        return [part for part in (self.value, self.weight, self.covariate) if part is not None]


@dataclass(frozen=True, slots=True)
class MetricProblem:
    """What is wrong with a metric, and the setting (below the experiment) that is."""

    key: KeyPath
    what: str
    fix: str


class NoValueError(ValueError):
    """The metric has no value for this row; the text says why."""


def compile_metrics(experiment: ExperimentConfig) -> tuple[list[Metric], list[MetricProblem]]:
    """The metrics of an experiment, and what is wrong with the others."""
    metrics, problems = [], []
    for index, config in enumerate(experiment.metrics):
        made: dict[str, Expression | None] = {}
        for setting in ("value", "per", "covariate"):
            text = getattr(config, setting)
            made[setting] = None
            if text is None or (setting == "per" and text == ROWS):
                continue
            try:
                made[setting] = _compile(text)
            except ExpressionError as error:
                problems.append(MetricProblem(("metrics", index, setting), error.what, error.fix))
        if made["value"] is not None:
            metrics.append(Metric(config, made["value"], made["per"], made["covariate"]))
    return metrics, problems


def _compile(text: str) -> Expression:
    expression = compile_expression(text, names=NAMES)
    for node in ast.walk(expression.tree):
        for name, known in (("usage", USAGE), ("state", STATE)):
            field = _field(node, name)
            if field is not None and field not in known:
                raise ExpressionError(
                    f"{name} has no {field!r}",
                    fix=f"there are {', '.join(f'{name}.{one}' for one in known)}",
                    expression=text,
                )
    return expression


def _field(node: ast.AST, name: str) -> str | None:
    """The field that is read here of ``name``, if one is."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
        return node.attr
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and isinstance(node.slice, ast.Constant)
    ):
        return str(node.slice.value)
    return None


def expressions_of(metrics: Sequence[Metric]) -> list[Expression]:
    """The expressions of these metrics, each once."""
    return list({part.text: part for metric in metrics for part in metric.parts}.values())


def mentions(tree: ast.AST, name: str) -> bool:
    """Whether an expression looks at ``row``, ``usage`` or ``state``."""
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


@dataclass(frozen=True, slots=True)
class Observation:
    """One row at the varied node: what came out (None: it failed), what it used, how it went.

    ``known``: the row that came in is on record, so that what came out would be too.
    """

    row: Mapping[str, Any] | None
    usage: Mapping[str, Any]
    state: Mapping[str, Any]
    known: bool = True


Known = dict[tuple[str, str], str]
"""Expression and error → what was found out of it: that takes long, and most rows fail for one reason."""


def number_of(expression: Expression, seen: Observation, known: Known) -> float:
    """The value of an expression for one row, as a number; true is 1. Raises NoValueError."""
    try:
        value = expression.fn(seen.row, seen.usage, seen.state)
    except EVALUATION_ERRORS as error:
        values = (seen.row, seen.usage, seen.state)
        raise NoValueError(why_failed(error, expression, values, known)) from error
    return number(value)


def why_failed(error: Exception, expression: Expression, values: Sequence[Any], known: Known) -> str:
    """Why an expression has no value for these (row, usage, state), without any of the values."""
    key = expression.text, repr(error)
    if key not in known:
        known[key] = describe(error, expression, *values)
    return known[key]


def number(value: Any) -> float:
    """What an expression gave, as a number; true is 1. Raises NoValueError."""
    try:
        found = float(value) if not isinstance(value, str | bytes) else math.nan
    except (TypeError, ValueError, OverflowError) as error:
        raise NoValueError(f"{type(value).__name__} is not a number") from error
    if not math.isfinite(found):
        # Never the value itself: it may be a row's, which somebody purges later.
        raise NoValueError(f"{'text' if isinstance(value, str) else type(value).__name__} is not a number")
    return found


def why_missing(*, failed: bool, purged: bool = False) -> str:
    """Why there is no row to look at."""
    if failed:
        return "the variant failed"
    return "the row's data are purged" if purged else "the variant gave no row, or several"
