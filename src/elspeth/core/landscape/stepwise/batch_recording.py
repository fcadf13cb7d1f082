"""Batches as single records: which tokens were handled together, and what came of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from elspeth.contracts.plugins import Row
from elspeth.contracts.tokens import Token
from elspeth.core.clock import Clock, instant, microseconds
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.stepwise import making, tokens
from elspeth.core.landscape.stepwise.token_recording import unknown_run
from elspeth.core.landscape.stepwise.tokens import RecordError, TokenAt, transaction
from elspeth.core.landscape.tables import batch_tokens_table, batches_table, runs_table

TRIGGERS = ("count", "timeout", "condition", "end_of_source")
_RUNNING = "running"
_batch, _part = batches_table.c, batch_tokens_table.c


class BatchRecording:
    """Batches, record by record."""

    db: LandscapeDB
    clock: Clock

    def begin_batch(
        self,
        run_id: str,
        node_id: str,
        token_ids: Sequence[str],
        trigger_type: str = "count",
        *,
        at: datetime | None = None,
    ) -> str:
        """Put down that a node handles these tokens together, as a ``running`` batch; returns its id.

        ``trigger_type`` is count, timeout, condition or end_of_source. Raises RecordError unless
        the tokens are different open tokens of this run, and at least one.
        """
        if trigger_type not in TRIGGERS:
            raise RecordError(f"a batch is completed by {', '.join(TRIGGERS)}, not by {trigger_type!r}")
        now = self._at(at)
        with transaction(self.db) as connection:
            query = select(runs_table.c.run_no).where(runs_table.c.run_id == run_id)
            run_no = connection.execute(query).scalar()
            if run_no is None:
                raise unknown_run(run_id)
            members = making.open_tokens(connection, token_ids, "a batch")
            stranger = next((token for token in members if token.run_no != run_no), None)
            if stranger is not None:
                raise RecordError(
                    f"token {stranger.token_id!r} is of run {stranger.run_id!r}, not {run_id!r}"
                )
            last = connection.execute(
                select(func.max(_batch.batch_no)).where(_batch.run_no == run_no)
            ).scalar()
            number = 0 if last is None else last + 1
            batch_id = f"{run_id}-b{number}"
            connection.execute(
                insert(batches_table).values(
                    batch_id=batch_id, run_id=run_id, run_no=run_no, batch_no=number, node_id=node_id,
                    trigger_type=trigger_type, status=_RUNNING, created_at=instant(now),
                )
            )  # fmt: skip
            _put(connection, (run_no, number), "in", members)
        return batch_id

    def complete_batch(
        self, batch_id: str, rows: Sequence[Row], *, at: datetime | None = None
    ) -> list[Token]:
        """Make a token of each row that came of a batch; its members end as CONSUMED_IN_BATCH.

        The results belong to the row of the first member. Raises RecordError if there is no such
        running batch, or a member has ended meanwhile; CanonicalError for a row that can't be recorded.
        """
        now = self._at(at)
        with transaction(self.db) as connection:
            batch = _running(connection, batch_id)
            members = _members(connection, batch)
            made = making.take_up(connection, members, rows, now)
            _put(connection, (batch["run_no"], batch["batch_no"]), "out", made)
            _end(connection, batch_id, "completed", now)
            return [tokens.token_of(connection, child) for child in made]

    def pass_batch(self, batch_id: str, *, at: datetime | None = None) -> None:
        """Put down that a batch's members go on themselves (``output_mode: passthrough``)."""
        now = self._at(at)
        with transaction(self.db) as connection:
            batch = _running(connection, batch_id)
            members = _members(connection, batch)
            _put(connection, (batch["run_no"], batch["batch_no"]), "out", members)
            _end(connection, batch_id, "completed", now)

    def fail_batch(self, batch_id: str, *, at: datetime | None = None) -> None:
        """Put down that a batch failed; what becomes of its members is for their own states to say."""
        now = self._at(at)
        with transaction(self.db) as connection:
            _running(connection, batch_id)
            _end(connection, batch_id, "failed", now)

    def get_batches(self, run_id: str) -> list[Mapping[str, Any]]:
        """The run's batches in order, as mappings of column to value."""
        query = select(batches_table).where(_batch.run_id == run_id).order_by(_batch.batch_no)
        with transaction(self.db) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _at(self, at: datetime | None) -> int:
        return microseconds(self.clock.now() if at is None else at)


def _put(connection: Connection, batch: tuple[int, int], role: str, members: Sequence[TokenAt]) -> None:
    run_no, batch_no = batch
    rows = [
        {"run_no": run_no, "batch_no": batch_no, "role": role, "ordinal": ordinal,
         "row_no": token.row_no, "token_no": token.token_no}
        for ordinal, token in enumerate(members)
    ]  # fmt: skip
    if rows:
        connection.execute(insert(batch_tokens_table), rows)


def _running(connection: Connection, batch_id: str) -> RowMapping:
    query = select(batches_table).where(_batch.batch_id == batch_id)
    batch = connection.execute(query).mappings().one_or_none()
    if batch is None:
        raise RecordError(f"there is no batch {batch_id!r} on record", fix="begin it first: begin_batch(…)")
    if batch["status"] != _RUNNING:
        raise RecordError(f"batch {batch_id!r} has ended already ({batch['status']})")
    return batch


def _members(connection: Connection, batch: RowMapping) -> list[TokenAt]:
    where = (_part.run_no == batch["run_no"]) & (_part.batch_no == batch["batch_no"]) & (_part.role == "in")
    places = connection.execute(select(_part.row_no, _part.token_no).where(where).order_by(_part.ordinal))
    return [tokens.token_at(connection, batch["run_no"], place.row_no, place.token_no) for place in places]


def _end(connection: Connection, batch_id: str, status: str, now: int) -> None:
    values = {"status": status, "completed_at": instant(now)}
    connection.execute(update(batches_table).where(_batch.batch_id == batch_id).values(values))
