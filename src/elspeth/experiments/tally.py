"""What the engine's sightings become: columns of values, and totals, for every commit."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from elspeth.core.config import ExperimentConfig
from elspeth.core.expressions import EVALUATION_ERRORS, Expression
from elspeth.core.landscape.variants import packing
from elspeth.core.landscape.variants.packing import FAILED, LATENCY, PAIR, UNIT, USED, VARIANT
from elspeth.core.landscape.variants.readings import (
    NO_USAGE,
    CallSums,
    last_totals,
    read_readings,
    reading_names,
)
from elspeth.engine.executors.sightings import Counted
from elspeth.experiments.columns import unpack
from elspeth.experiments.kept import Recorded, metrics_key, read_recorded, write_recorded
from elspeth.experiments.merging import USAGE_COLUMNS, Merging, Reasons
from elspeth.experiments.metrics import (
    Known,
    Metric,
    NoValueError,
    compile_metrics,
    expressions_of,
    mentions,
    number,
    why_failed,
    why_missing,
)
from elspeth.experiments.statistics.distributions import MissingExtraError
from elspeth.experiments.values import column_names

if TYPE_CHECKING:
    from elspeth.core.landscape.database import LandscapeDB
    from elspeth.engine.executors.sightings import Sighting, Sightings

MOST_REASONS = 20


class VariantTally:
    """The engine's `Tally` of one experiment.

    Without numpy (an extra) the columns are put down, and no totals: then who compares adds up.
    """

    def __init__(self, experiment: ExperimentConfig) -> None:
        self._experiment = experiment
        self._metrics = compile_metrics(experiment)[0]
        self._reasons: Reasons = {}
        self._known: Known = {}
        self._merging: Merging | None = None
        self._run_no = 0
        self._run_id = ""
        self._calls: CallSums
        self._redacted: Callable[[str], str] = str

    def begin(self, db: "LandscapeDB", run_id: str, run_no: int) -> Counted | None:
        """Go on with what is on record: see `Tally`."""
        self._run_id, self._run_no = run_id, run_no
        self._calls = CallSums(db, run_id)
        self._redacted = db.redactor.text
        try:
            self._merging = Merging(self._experiment, self._metrics)
        except MissingExtraError:
            self._merging = None
        before = last_totals(db, run_no, self._experiment.experiment_id)
        if before is None:
            return None
        commit_no, text = before
        recorded = read_recorded(text)
        self._reasons = {name: dict(why) for name, why in recorded.reasons.items()}
        if self._merging is not None:
            names = reading_names(db, run_no, self._experiment.experiment_id)
            for piece in read_readings(db, run_no, self._experiment.experiment_id, names, commit_no):
                self._merging.add({name: unpack(data) for name, data in piece.items()})
        return Counted(recorded.assigned, recorded.unexposed, recorded.unassigned, recorded.judged)

    def commit(self, commit_no: int, sightings: "Sightings") -> Iterable[tuple[str, tuple[Any, ...]]]:
        """Rows for `experiment_readings` and `experiment_totals`."""
        key = (self._run_no, self._experiment.experiment_id)
        if sightings.seen:
            packed = self._columns(sightings.seen)
            for name, data in packed.items():
                yield "experiment_readings", (*key, name, commit_no, data)
            if self._merging is not None:
                self._merging.add({name: unpack(data) for name, data in packed.items()})
        totals = None
        if self._merging is not None:
            totals = self._merging.totals(sightings.underway, self._reasons)
        now = Recorded(
            list(sightings.assigned), sightings.unexposed, sightings.unassigned, self._reasons,
            metrics_key(self._experiment), totals, sightings.judged,
        )  # fmt: skip
        yield "experiment_totals", (*key, commit_no, write_recorded(now))

    def _columns(self, seen: "Sequence[Sighting]") -> dict[str, bytes]:
        used = self._used(seen)
        found = {
            VARIANT: packing.pack_small([one[0] for one in seen]),
            UNIT: packing.pack_keys([one[1] for one in seen]),
            FAILED: packing.pack_numbers([float(one[8]) for one in seen]),
            LATENCY: packing.pack_numbers(
                [  # Where calls were made it is they that count: a row may have waited long for its turn.
                    use["latency_ms"] if use["calls"] else one[9] / 1000
                    for one, use in zip(seen, used, strict=True)
                ]
            ),
        }
        if self._experiment.mode == "paired":
            # A row's copies have one parent, whose number is below 2^24 (the database could hold no more).
            found[PAIR] = packing.pack_integers([one[2] << 24 | one[4] for one in seen])
        if any(use is not NO_USAGE for use in used):
            for name in USAGE_COLUMNS:
                found[USED + name] = packing.pack_numbers([use[name] for use in used])
        failing: dict[str, dict[int, str]] = {}
        for expression in expressions_of(self._metrics):
            values, failing[expression.text] = _evaluate(expression, seen, used, self._known)
            found[packing.EXPRESSION + expression.text] = packing.pack_numbers(values)
        for metric in self._metrics:
            self._note_reasons(metric, failing, seen)
        return found

    def _used(self, seen: "Sequence[Sighting]") -> list[Mapping[str, float]]:
        """What each used."""
        if not self._calls.any():
            return [NO_USAGE] * len(seen)
        run_id = self._run_id
        steps = [f"{run_id}-{one[2]}-{one[3]}-{one[5]}" for one in seen]
        found = self._calls.of({step: one[6] for step, one in zip(steps, seen, strict=True)})
        return [found.get(step, NO_USAGE) for step in steps]

    def _note_reasons(
        self, metric: Metric, failing: Mapping[str, Mapping[int, str]], seen: "Sequence[Sighting]"
    ) -> None:
        parts = [failing[name.removeprefix(packing.EXPRESSION)] for name in column_names(metric)]
        if not any(parts):
            return
        noted = self._reasons.setdefault(metric.config.name, {})
        for index in sorted(set().union(*parts)):
            reason = next(part[index] for part in parts if index in part)
            if metric.uses_row and seen[index][7] is None:
                reason = why_missing(failed=seen[index][8])
            reason = self._redacted(reason)[:200]
            # One reason per row would be no summary.
            if reason in noted or len(noted) < MOST_REASONS:
                noted[reason] = noted.get(reason, 0) + 1


def _evaluate(
    expression: Expression, seen: "Sequence[Sighting]", used: Sequence[Mapping[str, float]], known: Known
) -> tuple[list[float], dict[int, str]]:
    """The expression's value for each, NaN where it has none; and why it has none, by place."""
    fn, needs_row = expression.fn, mentions(expression.tree, "row")
    states = _states(seen) if mentions(expression.tree, "state") else None
    values: list[float] = []
    failing: dict[int, str] = {}
    for index, one in enumerate(seen):
        row = one[7]
        state = next(states) if states is not None else NO_USAGE
        if row is None and needs_row:
            failing[index] = why_missing(failed=one[8])
            values.append(math.nan)
            continue
        try:
            value = fn(row, used[index], state)
            values.append(float(value) if value is True or value is False else number(value))
        except NoValueError as error:
            failing[index] = str(error)
            values.append(math.nan)
        except EVALUATION_ERRORS as error:
            failing[index] = why_failed(error, expression, (row, used[index], state), known)
            values.append(math.nan)
    return values, failing


def _states(seen: "Sequence[Sighting]") -> Iterator[Mapping[str, Any]]:
    for one in seen:
        failed = one[8]
        yield {
            "status": "failed" if failed else "completed",
            "failed": failed,
            "duration_ms": one[9] / 1000,
            "attempt": one[6],
        }
