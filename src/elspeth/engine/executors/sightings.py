"""What comes out of an experiment's variants, seen as it happens, and put down with every commit.

A row is read back from the record in 30 µs; where it leaves its variant it is at hand. So each
commit puts down the values of the experiment's metrics, and everything so far added up, in the
transaction that puts down the rows themselves: what is counted is counted once, however often a
run is killed and resumed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elspeth.contracts.judging import FLIPPED, FLIPS, UNPAIRED, WINNER
from elspeth.contracts.plugins import Row
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.paths import Path
from elspeth.core.landscape.variants.marks import units_of_rows
from elspeth.engine.executors.outcomes import Outcomes
from elspeth.engine.live import LiveToken
from elspeth.engine.steps import ErrorExit, Step, Workshop

Sighting = tuple[int, bytes, int, int, int, int, int, "Row | None", bool, int]
"""Index of the variant, unit, row, token and parent number, step index, attempt, the row that came
out (None: it failed, or gave no single row), whether it failed, and how long it took in µs."""


Seen = tuple[int, LiveToken, "bytes | None", Path, int, "Row | None", int, bool]
"""Index of the variant, token, unit, path and how many times it had, row, attempt, whether it failed."""

Judged = Mapping[str, Mapping[str, int]]
"""Variant → what was said of its answers (who won, or else: see `contracts.judging`) → how often."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """What was seen since the last commit, and what stands at this one.

    ``assigned`` are rows per variant, ``unexposed`` rows that took no part, ``unassigned`` those
    without a unit, all since the run began. ``underway`` are index of the variant and unit of the
    rows that have been assigned and have not come out. ``judged`` counts what a judge said of each
    variant, since the run began.
    """

    seen: Sequence[Sighting]
    assigned: Sequence[int]
    unexposed: int
    unassigned: int
    underway: Sequence[tuple[int, bytes]]
    judged: Judged


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted up to the commit that a resumed run goes on from: see `Sightings`."""

    assigned: Sequence[int]
    unexposed: int
    unassigned: int
    judged: Judged


class Tally(Protocol):
    """Adds sightings up. One per experiment and run; called on the engine's thread only."""

    def begin(self, db: LandscapeDB, run_id: str, run_no: int) -> Counted | None:
        """Go on with what is on record; None where nothing is."""

    def commit(self, commit_no: int, sightings: Sightings) -> Iterable[tuple[str, tuple[Any, ...]]]:
        """Rows for tables of the landscape, to be written with this commit."""


class Lookout:
    """One experiment's variants, watched. ``tally`` gets what was seen, commit by commit."""

    def __init__(
        self, workshop: Workshop, db: LandscapeDB, experiment_id: str, nodes: Sequence[str], tally: Tally
    ) -> None:
        self._workshop = workshop
        self._db = db
        self._experiment_id = experiment_id
        self._nodes = {node: index for index, node in enumerate(nodes)}
        self._tally = tally
        self._begun = False
        self._told: tuple[int, ...] = ()
        self.seen: list[Seen] = []
        self.assigned = [0] * len(nodes)
        self.unexposed = 0
        self.unassigned = 0
        self._judged: dict[str, dict[str, int]] = {}

    def judge(self, variant_id: str, said: str) -> None:
        """Something was said of a pair of answers."""
        counts = self._judged.setdefault(variant_id, {})
        counts[said] = counts.get(said, 0) + 1

    def see(self, index: int, token: LiveToken, row: Row | None, attempt: int, *, failed: bool) -> None:
        """A token has come out of the variant with this index, at the last step of its path."""
        self.seen.append((index, token, token.unit, token.path, len(token.times), row, attempt, failed))

    def restore(self) -> Mapping[int, tuple[str, bytes]]:
        """Go on with a run that stopped; returns variant and unit of the rows that wait, by row number."""
        workshop = self._workshop
        self._begin()
        rows = {token.row_no for token in workshop.waiting}
        known = units_of_rows(self._db, workshop.run_id, self._experiment_id, sorted(rows))
        for token, held in workshop.waiting.items():
            if held.node_id in self._nodes and token.row_no in known:
                token.unit = known[token.row_no][1]
        return known

    def commit(self, commit_no: int) -> None:
        """Put down what was seen since the last commit, with this one."""
        if not self._begun:
            self._begin()
        seen = self._sightings()
        underway = self._underway()
        said = sum(count for of in self._judged.values() for count in of.values())
        counts = (*self.assigned, self.unexposed, self.unassigned, said)
        if seen or counts != self._told:
            now = Sightings(seen, self.assigned, self.unexposed, self.unassigned, underway, self._judged)
            for table, row in self._tally.commit(commit_no, now):
                self._workshop.pending.put(table, row)
            self._told = counts

    def _sightings(self) -> list[Sighting]:
        """What was seen since the last commit. Rows that came by another way are no part of it."""
        found = []
        for index, token, unit, path, count, row, attempt, failed in self.seen:
            times, t0 = token.times, token.t0
            if unit is not None:
                took = (times[count - 1] - t0) // 1000
                if count > 1:
                    took -= (times[count - 2] - t0) // 1000
                found.append(
                    (index, unit, token.row_no, token.token_no, token.parent_no or 0, path.step_index,
                     attempt, row, failed, took)
                )  # fmt: skip
        self.seen.clear()
        return found

    def _begin(self) -> None:
        self._begun = True
        before = self._tally.begin(self._db, self._workshop.run_id, self._workshop.run_no)
        if before is not None:
            self.unexposed, self.unassigned = before.unexposed, before.unassigned
            self.assigned = [old + new for old, new in zip(before.assigned, self.assigned, strict=True)]
            self._judged = {variant: dict(counts) for variant, counts in before.judged.items()}

    def _underway(self) -> list[tuple[int, bytes]]:
        """The rows that wait at a variant."""
        return [
            (self._nodes[held.node_id], token.unit)
            for token, held in self._workshop.waiting.items()
            if token.unit is not None and held.node_id in self._nodes
        ]


class VariantExit:
    """What follows a variant: looks at the token, and passes it on."""

    def __init__(self, lookout: Lookout, index: int, following: Step) -> None:
        self._see = lookout.seen.append
        self._index = index
        self._following = following

    def step(self, token: LiveToken) -> Step:
        """Note what came out."""
        path = token.path
        made = path.step
        if made is not None:  # else it is one of several rows that the variant gave: noted as one
            # As `Lookout.see` does, without a call for every row.
            self._see(
                (self._index, token, token.unit, path, len(token.times), token.row, made.attempt, False)
            )
        return self._following


class JudgedExit:
    """What follows where answers are compared: notes what was said, and passes the token on.

    ``said`` is for exits at which the row does not say it: a judge that failed. A row on which there is no
    word of a judge is one that an answer is missing of.
    """

    def __init__(self, lookout: Lookout, variant_id: str, following: Step, said: str = "") -> None:
        self._lookout = lookout
        self._variant_id = variant_id
        self._following = following
        self._said = said

    def step(self, token: LiveToken) -> Step:
        """Note it."""
        row = token.row
        said = self._said or (str(row[WINNER]) if WINNER in row else UNPAIRED)
        self._lookout.judge(self._variant_id, said)
        if not self._said and row.get(FLIPPED) is True:
            self._lookout.judge(self._variant_id, FLIPS)
        return self._following


class VariantErrorExit(ErrorExit):
    """Where tokens go that fail in a variant: a failure is an outcome of the experiment too."""

    lookout: Lookout
    index: int

    def take(
        self,
        token: LiveToken,
        reason: Mapping[str, Any],
        *,
        attempt: int = 1,
        gap: bool = False,
        kind: str = "transform",
    ) -> Step:
        """Record the failure, and note it."""
        target = super().take(token, reason, attempt=attempt, gap=gap, kind=kind)
        self.lookout.see(self.index, token, None, attempt, failed=True)
        return target


class VariantOutcomes(Outcomes):
    """The answers of a variant. Several rows, or none, are one answer without a row."""

    lookout: Lookout
    index: int

    def watch(self, lookout: Lookout, index: int) -> None:
        """Have ``lookout`` see what comes out of here, by either way."""
        self.lookout, self.index = lookout, index
        self.following = VariantExit(lookout, index, self.following)
        assert isinstance(self.failed, VariantErrorExit)
        self.failed.lookout, self.failed.index = lookout, index

    def _expand(self, token: LiveToken, rows: Sequence[Row], attempt: int) -> None:
        super()._expand(token, rows, attempt)
        self.lookout.see(self.index, token, None, attempt, failed=False)
