"""Rows and tokens, one call at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from elspeth.contracts.enums import TerminalState
from elspeth.contracts.plugins import Row
from elspeth.contracts.tokens import Token
from elspeth.core.clock import Clock, instant, microseconds
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.reading.stored import PathCache
from elspeth.core.landscape.stepwise import making, tokens
from elspeth.core.landscape.stepwise.tokens import RecordError, transaction
from elspeth.core.landscape.tables import runs_table


@dataclass(frozen=True, slots=True)
class RowRecord:
    """A source row on record, with the token that it starts as."""

    row_id: str
    run_id: str
    source_node_id: str | None
    row_index: int
    source_data_hash: str
    created_at: datetime
    token_id: str


class TokenRecording:
    """Rows and tokens, record by record."""

    db: LandscapeDB
    clock: Clock

    def create_row(
        self,
        run_id: str,
        source_node_id: str,
        row_index: int,
        data: Mapping[str, object],
        row_id: str | None = None,
        *,
        at: datetime | None = None,
    ) -> RowRecord:
        """Put a source row down with the token that it starts as; `create_token` hands that out.

        ``row_id`` is the caller's own name for the row. Raises RecordError for an unknown run and
        for an index that is taken, CanonicalError for data that can't be recorded.
        """
        now = self._micros(at)
        with transaction(self.db) as connection:
            query = runs_table.select().where(runs_table.c.run_id == run_id)
            run = connection.execute(query).one_or_none()
            if run is None:
                raise unknown_run(run_id)
            place = f"{run_id}-{row_index}"
            if tokens.find_token(connection, f"{place}-0") is not None:
                raise RecordError(f"run {run_id!r} has a row {row_index} already")
            if row_id is not None and tokens.find_row(connection, row_id, run_id) is not None:
                raise RecordError(f"run {run_id!r} has a row {row_id!r} already")
            where = (run.run_no, run_id, row_index)
            at_row = making.add_row(connection, where, source_node_id, dict(data), now, row_id)
        return RowRecord(
            at_row.row_id,
            run_id,
            source_node_id,
            row_index,
            at_row.hashes.hex(),
            instant(now),
            at_row.token_id,
        )

    def create_token(self, row_id: str, *, run_id: str | None = None) -> Token:
        """A token of this row: the one it starts as, and a further one at each later call.

        A row that is not on record is put down, without data, in ``run_id`` or else in a run
        called ``standalone``.
        """
        now = self._micros(None)
        with transaction(self.db) as connection:
            return tokens.token_of(connection, making.hand_out(connection, row_id, run_id, now))

    def get_token(self, token_id: str) -> Token | None:
        """The token with this id, None if there is none."""
        with transaction(self.db) as connection:
            found = tokens.find_token(connection, token_id)
            return None if found is None else tokens.token_of(connection, found)

    def fork_token(
        self, parent_token_id: str, destinations: Sequence[str], *, at: datetime | None = None
    ) -> list[Token]:
        """Split a token into one for each destination, in order; the parent ends as FORKED.

        Raises RecordError for an unknown parent, one that has ended, and for destinations that
        are none or the same twice.
        """
        check_destinations(destinations)
        now = self._micros(at)
        with transaction(self.db) as connection:
            parent = tokens.need_token(connection, parent_token_id)
            children = [making.Child(name) for name in destinations]
            made = making.split(connection, parent, "fork", children, now)
            return [tokens.token_of(connection, child) for child in made]

    def expand_token(
        self, parent_token_id: str, rows: Sequence[Row], *, at: datetime | None = None
    ) -> list[Token]:
        """Make a token of each of the rows that one row became; the parent ends as EXPANDED."""
        now = self._micros(at)
        with transaction(self.db) as connection:
            parent = tokens.need_token(connection, parent_token_id)
            children = [making.Child(parent.branch_name, row=row) for row in rows]
            made = making.split(connection, parent, "expand", children, now)
            return [tokens.token_of(connection, child) for child in made]

    def join_tokens(
        self,
        parent_token_ids: Sequence[str],
        row: Row | None = None,
        branch_name: str | None = None,
        *,
        merge: Mapping[str, object] | None = None,
        at: datetime | None = None,
    ) -> Token:
        """Make one token of several, which end as COALESCED. It belongs to the row of the first of them.

        ``merge`` says how its row was made: coalesce, policy, merge, branches, and the branch of each
        field (origins). Raises RecordError unless they are different open tokens of one run.
        """
        now = self._micros(at)
        with transaction(self.db) as connection:
            child = making.join(connection, parent_token_ids, row, making.Joined(branch_name, merge), now)
            return tokens.token_of(connection, child)

    def get_terminal_state(self, token_id: str) -> TerminalState | None:
        """How a token ended, derived from what is on record; None while it is on its way.

        Raises RecordError for an unknown token.
        """
        with transaction(self.db) as connection:
            token = tokens.need_token(connection, token_id)
            path = PathCache().read(connection, token.run_no, [token.path_no])[token.path_no]
        return None if path.outcome is None else TerminalState(path.outcome)

    def _micros(self, at: datetime | None) -> int:
        return microseconds(self.clock.now() if at is None else at)


def check_destinations(destinations: Sequence[str]) -> None:
    """Raises RecordError unless there are destinations, all different and none of them empty."""
    if isinstance(destinations, str):
        raise RecordError(f"destinations are a list of names, not the text {destinations!r}")
    if not destinations:
        raise RecordError("a token needs destinations to go to, there are none")
    if not all(destinations):
        raise RecordError(f"a destination needs a name, one of these has none: {list(destinations)}")
    twice = sorted({name for name in destinations if list(destinations).count(name) > 1})
    if twice:
        raise RecordError(f"each destination gets one token, named more than once: {', '.join(twice)}")


def unknown_run(run_id: str) -> RecordError:
    """The error for a run that is not on record."""
    return RecordError(f"there is no run {run_id!r} on record", fix="begin it first: begin_run(…)")
