"""One experiment at work: find the row's unit, its bucket and its variant, and send the row there."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson
from orjson import dumps

from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical import canonical
from elspeth.core.config import HASH_VERSION, ExperimentConfig
from elspeth.core.config.buckets import FINE, fine_of, shares
from elspeth.core.expressions import EVALUATION_ERRORS, Expression, describe
from elspeth.core.landscape.variants.marks import RunVariant
from elspeth.engine.executors.gate import GateStep, Route
from elspeth.engine.executors.sightings import Lookout, Tally
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import Step, Workshop

_DIGITS = range(100)
_number = int.from_bytes  # big-endian
_MOST_SEEN = 1_000_000


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """One experiment of a run, as it will be recorded.

    ``unit`` is None where the unit is the source row's content hash. ``phase`` changes with the
    variants and their weights. ``variants`` maps variant ids to their nodes, ``overrides`` to
    what is recorded of their options, as JSON, secrets replaced. ``tally`` adds up what comes out.
    """

    node_id: str
    experiment: ExperimentConfig
    phase: str
    unit: Expression | None
    variants: Mapping[str, str]
    overrides: Mapping[str, str]
    tally: Tally

    def recorded(self) -> list[RunVariant]:
        """The variants as they go on record, in order."""
        experiment_id = self.experiment.experiment_id
        return [
            RunVariant(
                experiment_id, variant, self.node_id, self.overrides[variant], self.phase, HASH_VERSION
            )
            for variant in self.variants
        ]


class ExperimentStep(GateStep):
    """A gate whose decision is the hash of a unit.

    ``variants`` are the routes of the variants, in order; all the same one where every row goes
    through all of them. What differs from row to row is a mark of the token, not in its path: paths
    would be as many as rows. ``numbers`` are those of the variants in this run.
    """

    def __init__(
        self, workshop: Workshop, plan: ExperimentPlan, numbers: Sequence[int], lookout: Lookout
    ) -> None:
        self._workshop = workshop
        self._ns = workshop.clock.ns
        self._node_id = plan.node_id
        self._unit = plan.unit
        self._unit_of = None if plan.unit is None else plan.unit.fn
        experiment = plan.experiment
        self._exposed_below = experiment.exposed_below
        self._all_exposed = self._exposed_below >= FINE
        self._key = f"{experiment.experiment_id}:".encode()
        self._exposure_key = f"exposure:{experiment.experiment_id}:".encode()
        ids = [variant.variant_id for variant in experiment.variants]
        variant_at = experiment.variant_at
        if experiment.mode == "paired":
            # Every row meets all of them; the one that goes on is the one to name.
            variant_at = shares(100 * (variant == experiment.control_id) for variant in ids)
        # By the hash modulo 10,000 as it is: a bucket is its last two digits.
        self._index_of = array("H", [variant_at[last * 100 + first] for first in _DIGITS for last in _DIGITS])
        self._numbers = numbers
        self._ids = ids
        self._lookout = lookout
        self._seen: dict[int, tuple[int, bytes]] = {}
        self.variants: list[Route] = []
        self.unexposed: Route

    def step(self, token: LiveToken) -> Step | None:
        """Assign, put it on record, and send the token on its way."""
        fn = self._unit_of
        try:
            if fn is None:
                unit = None
                data = token.root.hashes[:32].hex().encode()
            else:
                unit = fn(token.row)
                if type(unit) is not str:
                    unit = unit_text(unit)
                data = unit.encode()
        except EVALUATION_ERRORS as error:
            return self._without_unit(token, error)
        exposure = None
        if not self._all_exposed:
            exposure = fine_of(sha256(self._exposure_key + data).digest())
            if exposure >= self._exposed_below:
                self._lookout.unexposed += 1
                return self._send(token, self.unexposed)
        hashed = sha256(self._key + data).digest()
        number = _number(hashed) % FINE
        index, known = self._index_of[number], False
        key = hashed[:8]
        if token.token_no:
            index, key, known = self._as_before(token.row_no, index, key)
        if not known:
            self._lookout.assigned[index] += 1
            variant_no = self._numbers[index]
            mark: tuple[Any, ...] = (variant_no, unit, number % 100, number // 100)
            if exposure is not None:
                mark = (*mark, exposure)
            stored = dumps((mark,)).decode()
            token.assigned = f"{token.assigned[:-1]},{stored[1:]}" if token.assigned else stored
        token.unit = key
        route = self.variants[index]
        path = token.path.children.get(route.path_step)
        if path is None or route.target is None:
            return self._send(token, route)
        # As `_send` does, for the common case: nothing is forked, and the path is known.
        token.times.append(self._ns())
        token.path = path
        return route.target

    def _as_before(self, row_no: int, index: int, key: bytes) -> tuple[int, bytes, bool]:
        """A row that came apart before is assigned once: as its first part was. Last: whether it is."""
        known = row_no in self._seen
        index, key = self._seen.setdefault(row_no, (index, key))
        if len(self._seen) > _MOST_SEEN:
            # The parts of a row come close together: forget the older half.
            self._seen = dict(islice(self._seen.items(), _MOST_SEEN // 2, None))
        return index, key, known

    def restore(self) -> None:
        """Go on with a run that stopped."""
        for row_no, (variant, key) in self._lookout.restore().items():
            self._seen[row_no] = self._ids.index(variant), key

    def _without_unit(self, token: LiveToken, error: Exception) -> Step:
        self._lookout.unassigned += 1
        expression = self._unit
        assert expression is not None
        if isinstance(error, NoUnitError):
            why = f"{expression.text} {error}"
        else:
            why = describe(error, expression, token.row)
        return self.failed.take(token, {"error": why})


class NoUnitError(ValueError):
    """A row whose unit is null, or nothing that can be hashed."""


def unit_text(value: Any) -> str:
    """A unit as the text that is hashed: text as it is, other values as canonical JSON.

    So 5 and "5" are the same unit. Raises NoUnitError.
    """
    if type(value) is str:
        return value
    if value is None:
        raise NoUnitError("is null, and a row without a unit can't be assigned")
    try:
        return canonical(value).decode()
    except CanonicalError as error:
        raise NoUnitError(f"has no text to hash: {error.what}") from error


def overrides_json(recorded: Mapping[str, Any]) -> str:
    """Options as they are stored with every assignment."""
    return orjson.dumps(dict(recorded), option=orjson.OPT_SORT_KEYS).decode()
