"""A token on its way through the engine, and what the tokens of one group share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from elspeth.contracts.plugins import Row
from elspeth.core.landscape.paths import Path

if TYPE_CHECKING:
    from elspeth.engine.joins import JoinContext


class LiveToken:
    """One token in flight.

    A plain slotted class, not a dataclass, because one is made per row. ``hashes`` and ``deltas``
    (JSON values with commas between) and ``times`` (nanoseconds of the engine's clock) fill the
    slots that ``path`` counts. ``last_child`` is the highest token number of the row so far, kept
    by the row's first token. ``nested``: the row may hold lists or dicts; ``plain``: all its
    values are plain in the sense of `elspeth.core.canonical.plain`. ``join`` is set on branches that
    a coalesce may join; ``stored``: an open trace of the token is in the database.
    """

    __slots__ = (
        "_root", "branch_name", "deltas", "error", "hashes", "join", "last_child", "nested", "parent_no",
        "path", "payload", "plain", "row", "row_no", "run_id", "stored", "t0", "times", "token_no",
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
        self.deltas = b""
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
        return token


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
