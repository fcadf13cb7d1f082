"""One experiment at work: find the row's unit, its bucket and its variant, and send the row there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson

from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical import canonical
from elspeth.core.clock import instant
from elspeth.core.config import HASH_VERSION, Assigner, ExperimentConfig
from elspeth.core.expressions import EVALUATION_ERRORS, Expression, describe
from elspeth.engine.executors.gate import GateStep, Route
from elspeth.engine.executors.sightings import Lookout, Tally
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import Step, Workshop

_STAMP_NS = 1_000_000
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


class ExperimentStep(GateStep):
    """A gate whose decision is the hash of a unit.

    ``variants`` are the routes of the variants, in order; all the same one where every row goes
    through all of them. What differs from row to row is in ``experiment_assignments``, not in the
    path: paths would be as many as rows.
    """

    def __init__(self, workshop: Workshop, plan: ExperimentPlan, lookout: Lookout) -> None:
        self._workshop = workshop
        self._ns = workshop.clock.ns
        self._node_id = plan.node_id
        self._unit = plan.unit
        experiment = plan.experiment
        assigner = Assigner(experiment)
        self._variant_at = assigner.variant_at
        self._exposed_below = assigner.exposed_below
        self._key = f"{experiment.experiment_id}:".encode()
        self._exposure_key = f"exposure:{experiment.experiment_id}:".encode()
        ids = [variant.variant_id for variant in experiment.variants]
        if experiment.mode == "paired":
            # Every row meets all of them; the one that goes on is the one to name.
            self._variant_at = [ids.index(experiment.control_id)] * len(self._variant_at)
        self._columns = [(experiment.experiment_id, name, plan.overrides[name]) for name in ids]
        self._phase = plan.phase
        self._ids = ids
        self._lookout = lookout
        self._seen: dict[int, tuple[int, bytes]] = {}
        self._stamp: datetime = workshop.clock.now()
        self._stamp_until = 0
        self.variants: list[Route] = []
        self.unexposed: Route

    def step(self, token: LiveToken) -> Step | None:
        """Assign, put it on record, and send the token on its way."""
        number = token.token_no
        expression = self._unit
        if expression is None:
            root = token if not number else token.root
            unit = root.hashes[:32].hex()
        else:
            try:
                unit = unit_text(expression.fn(token.row))
            except NoUnitError as error:
                return self._without_unit(token, f"{expression.text} {error}")
            except EVALUATION_ERRORS as error:
                return self._without_unit(token, describe(error, expression, token.row))
        data = unit.encode()
        exposure = None
        if self._exposed_below < 10_000:
            fine = int.from_bytes(sha256(self._exposure_key + data).digest(), "big") % 10_000
            exposure = fine % 100 * 100 + fine // 100
            if exposure >= self._exposed_below:
                self._lookout.unexposed += 1
                return self._send(token, self.unexposed)
        hashed = sha256(self._key + data).digest()
        key = hashed[:8]
        fine = int.from_bytes(hashed, "big") % 10_000
        bucket, sub = fine % 100, fine // 100
        index = self._variant_at[bucket * 100 + sub]
        known = False
        if number:
            # A row that came apart before is assigned once: as its first part was.
            known = token.row_no in self._seen
            index, key = self._seen.setdefault(token.row_no, (index, key))
            if len(self._seen) > _MOST_SEEN:
                # The parts of a row come close together: forget the older half.
                self._seen = dict(islice(self._seen.items(), _MOST_SEEN // 2, None))
        if not known:
            self._note(token, index, (unit, bucket, sub, exposure))
        self._lookout.units[token.row_no] = key
        return self._send(token, self.variants[index])

    def restore(self) -> None:
        """Go on with a run that stopped."""
        for row_no, (variant, key) in self._lookout.restore().items():
            self._seen[row_no] = self._ids.index(variant), key

    def _without_unit(self, token: LiveToken, why: str) -> Step:
        self._lookout.unassigned += 1
        return self.failed.take(token, {"error": why})

    def _note(self, token: LiveToken, index: int, found: tuple[str, int, int, int | None]) -> None:
        self._lookout.assigned[index] += 1
        now = self._ns()
        if now >= self._stamp_until:
            self._stamp = instant((now + self._workshop.clock.epoch_ns) // 1000)
            self._stamp_until = now + _STAMP_NS
        row_id = f"{token.run_id}-{token.row_no}"
        experiment_id, variant_id, overrides = self._columns[index]
        self._workshop.pending.put(
            "experiment_assignments",
            (f"{row_id}-{experiment_id}", token.run_id, row_id, experiment_id, variant_id, overrides,
             self._stamp, *found, self._phase, HASH_VERSION),
        )  # fmt: skip


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
