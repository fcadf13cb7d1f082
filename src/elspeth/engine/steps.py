"""What the engine makes of a graph: one step object per node, linked to what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from elspeth.contracts.enums import EdgeMode
from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical import canonical
from elspeth.core.clock import Clock, instant
from elspeth.core.landscape.paths import Event, PathBook
from elspeth.core.landscape.paths import Step as PathStep
from elspeth.core.secrets import Redactor
from elspeth.engine.joins import leave
from elspeth.engine.live import JoinContext, LiveToken, Pending
from elspeth.engine.timers import Timers

PLUGIN_BUG = "this is a bug in the plugin: an expected failure is returned as TransformResult.error(reason)"


class Step(Protocol):
    """One node at work: takes a token in, says where it goes on, or None if it is done here."""

    def step(self, token: LiveToken) -> "Step | None": ...


class Workshop:
    """What all steps of one run share.

    ``stack`` holds the tokens that a split or a join made and that have still to go on, last first.
    ``end`` puts down a token that will go no further. ``waiting`` are the tokens that some node
    holds back, in the order in which they came; ``released`` those of them that are in the
    database as waiting and don't wait any more.
    """

    __slots__ = (
        "batches", "book", "clock", "end", "pending", "redactor", "released", "run_id", "run_no", "stack",
        "timers", "touched", "waiting",
    )  # fmt: skip

    def __init__(self, run_id: str, book: PathBook, clock: Clock) -> None:
        self.run_id = run_id
        self.run_no = book.run_no
        self.book = book
        self.clock = clock
        self.pending = Pending()
        self.end = self.pending.tokens.append
        self.stack: list[tuple[LiveToken, Step | None]] = []
        self.timers = Timers()
        self.waiting: dict[LiveToken, Held] = {}
        self.released: list[LiveToken] = []
        self.touched: dict[LiveToken, None] = {}
        self.batches = 0
        self.redactor = Redactor(None)  # for what plugins say of errors

    def hold(self, token: LiveToken, held: "Held") -> None:
        """A node holds ``token`` back for now."""
        self.waiting[token] = held

    def touch(self, token: LiveToken) -> None:
        """Something happened to a token that a node holds back: its open trace is to be written again."""
        if token.stored:
            self.touched[token] = None

    def release(self, token: LiveToken) -> None:
        """A node lets go of ``token``."""
        del self.waiting[token]
        self.touched.pop(token, None)
        if token.stored:
            self.released.append(token)

    def note_error(
        self,
        token: LiveToken,
        node_id: str,
        reason: Mapping[str, Any],
        destination: str,
        *,
        attempt: int = 1,
        kind: str = "transform",
    ) -> None:
        """Put on record why ``token`` failed at the last step of its path, when that ended."""
        at = (token.times[-1] + self.clock.epoch_ns) // 1000
        self.pending.put(
            "trace_errors",
            (self.run_no, token.row_no, token.token_no, token.path.step_index, attempt, node_id, kind,
             reason_text(reason), destination, at),
        )  # fmt: skip

    def note_parents(self, child: LiveToken, parents: Sequence[LiveToken]) -> None:
        """Put on record what ``child`` was joined from."""
        for ordinal, parent in enumerate(parents):
            self.pending.put(
                "trace_joins",
                (self.run_no, child.row_no, child.token_no, ordinal, parent.row_no, parent.token_no),
            )

    def note_batch(self, batch: "Batch", members: Sequence[LiveToken], outputs: Sequence[LiveToken]) -> None:
        """Put on record that ``members`` were handled together, and what came out."""
        number = self.batches
        self.batches += 1
        began = instant((batch.since + self.clock.epoch_ns) // 1000)
        self.pending.put(
            "batches",
            (f"{self.run_id}-b{number}", self.run_id, self.run_no, number, batch.node_id, batch.trigger,
             batch.status, began, self.clock.now()),
        )  # fmt: skip
        for role, tokens in (("in", members), ("out", outputs)):
            for ordinal, token in enumerate(tokens):
                self.pending.put(
                    "batch_tokens", (self.run_no, number, role, ordinal, token.row_no, token.token_no)
                )


@dataclass(frozen=True, slots=True)
class Held:
    """Where a token waits: the node, the door if that is a coalesce, and the joins that it is part of."""

    node_id: str
    branch: str | None
    join: JoinContext | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What is known of a batch besides its tokens. ``since`` is a time of the engine's clock."""

    node_id: str
    trigger: str
    status: str
    since: int


class Discard:
    """The end of tokens that somebody chose to drop. That choice is on record."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def step(self, token: LiveToken) -> None:
        leave(token.join)
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
        self,
        token: LiveToken,
        reason: Mapping[str, Any],
        *,
        attempt: int = 1,
        gap: bool = False,
        kind: str = "transform",
    ) -> Step:
        """Record that ``token`` failed at this node now, and return the step at which it ends.

        ``gap``: the token waited before, and the caller has put down when this attempt began.
        """
        key = (self, attempt, gap)
        path = token.path.children.get(key)
        if path is None:
            path = token.path.grow(key, self._path_step(attempt, gap=gap))
        token.path = path
        token.times.append(self._workshop.clock.ns())
        reason = self._workshop.redactor.tree(reason)
        token.error = {"node": self._node_id, **reason}
        self._workshop.note_error(token, self._node_id, reason, self.destination, attempt=attempt, kind=kind)
        return self._target

    def _path_step(self, attempt: int, *, gap: bool) -> PathStep:
        return PathStep(
            self._node_id,
            status="failed",
            attempt=attempt,
            gap=gap,
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
