"""A token on its way through the engine, what branches of a fork share (`joins`), and a commit's tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from elspeth.contracts.plugins import Row
from elspeth.core.landscape.paths import Path


class LiveToken:
    """One token in flight.

    A plain slotted class, not a dataclass, because one is made per row. ``hashes`` and ``deltas``
    (JSON values with commas between) and ``times`` (nanoseconds of the engine's clock) fill the
    slots that ``path`` counts. ``sunk`` are the last times, those of the sink, which all
    that it wrote at once share. ``assigned`` are the marks of the variants that it was given, as JSON.
    ``unit`` stands for what its last variant was given to (8 bytes of a hash).
    ``last_child`` is the highest token number of the row so far, kept by the row's first token.
    ``nested``: the row may hold lists or dicts; ``plain``: all its values are plain in the sense of
    `elspeth.core.canonical.plain`. ``join`` is set on branches that a coalesce may join; ``stored``:
    an open trace of the token is in the database.
    """

    __slots__ = (
        "_root", "assigned", "branch_name", "deltas", "error", "hashes", "join", "last_child", "nested",
        "parent_no", "path", "payload", "plain", "row", "row_no", "run_id", "stored", "sunk", "t0", "times",
        "token_no", "unit",
    )  # fmt: skip

    def __init__(self, run_id: str, row_no: int, row: Row, t0: int) -> None:
        self.run_id = run_id
        self.row_no = row_no
        self.row = row
        self.t0 = t0
        self.token_no = 0
        self.parent_no: int | None = None
        self.branch_name: str | None = None
        self.payload: str | None = None
        self.hashes = b""
        self.times: list[int] = []
        self.sunk: tuple[int, ...] = ()
        self.deltas = b""
        self.assigned: str | None = None
        self.unit: bytes | None = None
        self.join: JoinContext | None = None
        self.stored = False
        self.nested = False
        self.plain = False
        self.error: dict[str, Any] | None = None
        self.last_child = 0
        self._root: LiveToken | None = None
        self.path: Path

    @property
    def row_id(self) -> str:
        return f"{self.run_id}-{self.row_no}"

    @property
    def token_id(self) -> str:
        return f"{self.run_id}-{self.row_no}-{self.token_no}"

    @property
    def root(self) -> "LiveToken":
        """The first token of the row."""
        return self._root or self

    @property
    def last_number(self) -> int:
        """The highest token number of the row so far."""
        return (self._root or self).last_child

    def belongs_to(self, root: "LiveToken") -> None:
        """Number this token's children as those of ``root``."""
        self._root = root

    def child(self, row: Row, t0: int) -> "LiveToken":
        """A new token of the same row, numbered behind all that the row has."""
        root = self._root or self
        root.last_child += 1
        token = LiveToken(self.run_id, self.row_no, row, t0)
        token.token_no = root.last_child
        token.parent_no = self.token_no
        token._root = root
        token.unit = self.unit
        return token


class Joiner(Protocol):
    """The coalesce behind a group."""

    @property
    def node_id(self) -> str: ...
    def settle(self, group: "JoinGroup") -> None: ...


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """What is known before any token comes: per exit of one route, the doors that it can reach."""

    joiner: Joiner
    doors: tuple[frozenset[str], ...]


class JoinGroup:
    """The branches of one forked token on their way to one coalesce.

    ``arrived`` maps doors to the tokens that wait there, ``alive`` counts living tokens per exit.
    ``deadline`` is a time of the engine's clock, or None. A group that is ``closed`` merges nothing
    more; ``failure`` is why it came to nothing (None while it is open, and if it was merged).
    """

    __slots__ = ("alive", "arrived", "closed", "deadline", "failure", "outer", "parent", "plan")

    def __init__(self, plan: JoinPlan, parent: LiveToken) -> None:
        self.plan = plan
        self.parent = parent
        self.outer = parent.join
        self.alive = [1] * len(plan.doors)
        self.arrived: dict[str, LiveToken] = {}
        self.deadline: int | None = None
        self.closed = False
        self.failure: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Row and number of the token that was forked: unique in a run per coalesce."""
        return self.parent.row_no, self.parent.token_no

    def reachable(self) -> frozenset[str]:
        """The doors at which a token may still arrive for the first time."""
        open_doors = (doors for doors, count in zip(self.plan.doors, self.alive, strict=True) if count > 0)
        return frozenset().union(*open_doors) - self.arrived.keys()

    def change(self, exit_index: int, by: int) -> None:
        """More (or fewer) living tokens come from this exit."""
        self.alive[exit_index] += by
        if by < 0 and not self.closed:
            self.plan.joiner.settle(self)


class JoinContext:
    """A token's membership in a group, by the exit that it came from, and the context around that."""

    __slots__ = ("exit_index", "group", "outer")

    def __init__(self, group: JoinGroup, exit_index: int, outer: "JoinContext | None") -> None:
        self.group = group
        self.exit_index = exit_index
        self.outer = outer


@dataclass(slots=True)
class Pending:
    """What the next commit will hold: tokens that have ended, in order, and records for other tables."""

    tokens: list[LiveToken] = field(default_factory=list)
    others: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def put(self, table: str, row: tuple[Any, ...]) -> None:
        """A record for a table of the landscape, in the order of its columns."""
        self.others.setdefault(table, []).append(row)

    def take(self) -> tuple[list[LiveToken], dict[str, list[tuple[Any, ...]]]]:
        """Hand over what there is and begin anew, with the same lists: the steps keep hold of them."""
        taken = list(self.tokens), dict(self.others)
        self.tokens.clear()
        self.others.clear()
        return taken
