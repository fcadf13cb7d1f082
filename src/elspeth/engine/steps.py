"""What the engine makes of a graph: one step object per node, linked to what comes next."""

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from elspeth.contracts.enums import EdgeMode
from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical import canonical
from elspeth.core.clock import Clock
from elspeth.core.landscape.paths import Event, PathBook
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.engine.live import LiveToken, Pending


class Step(Protocol):
    """One node at work: takes a token in, says where it goes on, or None if it is done here."""

    def step(self, token: LiveToken) -> "Step | None": ...


class Workshop:
    """What all steps of one run share.

    ``stack`` holds the tokens that a split made and that have still to go on, last first. ``end``
    puts down a token that will go no further.
    """

    __slots__ = ("book", "clock", "end", "pending", "run_id", "run_no", "stack")

    def __init__(self, run_id: str, book: PathBook, clock: Clock) -> None:
        self.run_id = run_id
        self.run_no = book.run_no
        self.book = book
        self.clock = clock
        self.pending = Pending()
        self.end = self.pending.tokens.append
        self.stack: list[tuple[LiveToken, Step]] = []


class Discard:
    """The end of tokens that somebody chose to drop. That choice is on record."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def step(self, token: LiveToken) -> None:
        self._workshop.end(token)


class ErrorExit:
    """Where the tokens go that fail at one node, and how that is put on record."""

    def __init__(
        self, workshop: Workshop, node_id: str, edge_id: str, destination: str, target: Step
    ) -> None:
        self._workshop = workshop
        self._node_id = node_id
        self._edge_id = edge_id
        self._target = target
        self.destination = destination

    def take(
        self, token: LiveToken, reason: Mapping[str, Any], *, attempt: int = 1, kind: str = "transform"
    ) -> Step:
        """Record that ``token`` failed at this node now, and return the step at which it ends."""
        workshop = self._workshop
        now = workshop.clock.ns()
        path = token.path.children.get((self, attempt))
        if path is None:
            path = token.path.grow((self, attempt), self._path_step(attempt))
        token.path = path
        token.times.append(now)
        token.error = {"node": self._node_id, **reason}
        workshop.pending.errors.append(
            (workshop.run_no, token.row_no, token.token_no, path.step_index, attempt, self._node_id, kind,
             reason_text(reason), self.destination, (now + workshop.clock.epoch_ns) // 1000)
        )  # fmt: skip
        return self._target

    def _path_step(self, attempt: int) -> PathStep:
        return PathStep(
            self._node_id,
            status="failed",
            attempt=attempt,
            events=(Event(self._edge_id, EdgeMode.DIVERT),),
            exit_edge=self._edge_id,
            ending="discarded" if isinstance(self._target, Discard) else None,
        )


def reason_text(reason: Mapping[str, Any]) -> str:
    """The stored form of a reason: JSON with sorted keys."""
    try:
        return canonical(dict(reason)).decode()
    except CanonicalError as error:
        # A reason must not be lost because a plugin put something into it that JSON can't hold.
        return orjson.dumps({"error": ascii(dict(reason)), "unreadable": error.what}).decode()
