"""Tokens one at a time: made, split, joined, and asked how they ended."""

from collections.abc import Sequence

from elspeth.contracts.enums import TerminalState
from elspeth.contracts.plugins import Row
from elspeth.contracts.tokens import Token
from elspeth.core.clock import Clock
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.recorder import LandscapeRecorder


class TokenManager:
    """The life of tokens outside a running engine, in the same landscape.

    Every call is one transaction: what it says is on record when it returns, and what it refuses
    (RecordError, a ValueError) leaves nothing behind. May be used from several threads.
    """

    def __init__(self, db: LandscapeDB | LandscapeRecorder, clock: Clock | None = None) -> None:
        self.recorder = db if isinstance(db, LandscapeRecorder) else LandscapeRecorder(db, clock)

    def create_token(self, row_id: str) -> Token:
        """A token of this row: the one it starts as, and a further one at each later call.

        A row that is not on record is put down, without data, in a run called ``standalone``.
        """
        return self.recorder.create_token(row_id)

    def get_token(self, token_id: str) -> Token | None:
        """The token with this id, None if there is none."""
        return self.recorder.get_token(token_id)

    def fork_token(self, parent_token_id: str, destinations: Sequence[str]) -> list[Token]:
        """One child per destination, in order: ``branch_name`` is its name, ``fork_group_id`` one for all.

        The parent ends as FORKED; its row goes on in every child. Raises RecordError for an
        unknown parent, one that has ended, and for destinations that are none or the same twice.
        """
        return self.recorder.fork_token(parent_token_id, destinations)

    def expand_token(self, parent_token_id: str, rows: Sequence[Row]) -> list[Token]:
        """One child per row that the parent's row became, in order; the parent ends as EXPANDED."""
        return self.recorder.expand_token(parent_token_id, rows)

    def coalesce(
        self, parent_token_ids: Sequence[str], row: Row | None = None, branch_name: str | None = None
    ) -> Token:
        """One child of several parents, which end as COALESCED; it belongs to the first one's source row.

        ``row`` is what the parents' rows were merged to. Raises RecordError unless the parents
        are different open tokens of one run.
        """
        return self.recorder.join_tokens(parent_token_ids, row, branch_name)

    def get_terminal_state(self, token_id: str) -> TerminalState | None:
        """How a token ended, derived from what is on record; None while it is on its way.

        Raises RecordError for an unknown token.
        """
        return self.recorder.get_terminal_state(token_id)
