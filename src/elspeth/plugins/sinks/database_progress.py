"""How far a ``database`` sink has come, kept in the database that it fills."""

import json
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Boolean, Column, Connection, MetaData, String, Table, Text

from elspeth.contracts.errors import SinkError

_PROGRESS = "elspeth_sink_progress"


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows were ``seen`` (taken or refused), and which of the last flush were refused, and why.

    ``published`` once the table has its name.
    """

    seen: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    published: bool = False


class Ledger:
    """The progress of one run and table, changed in the connection's transaction."""

    def __init__(self, connection: Connection, key: str) -> None:
        self._connection = connection
        self._key = key
        self._table = Table(
            _PROGRESS,
            MetaData(),
            Column("target", String(400), primary_key=True),
            Column("seen", BigInteger(), nullable=False),
            Column("failed", Text(), nullable=False),
            Column("published", Boolean(), nullable=False),
        )
        self._table.create(connection, checkfirst=True)
        self._known = Progress()

    def read(self) -> Progress:
        """What is on record; nothing seen if nothing is."""
        query = self._table.select().where(self._table.c.target == self._key)
        found = self._connection.execute(query).one_or_none()
        if found is not None:
            failed = {int(seen): why for seen, why in json.loads(found.failed)}
            self._known = Progress(int(found.seen), failed, bool(found.published))
        return self._known

    def record(self, progress: Progress) -> None:
        """Replace what is on record. Raises SinkError if that is not what this process knows.

        Then another process has taken over the run, and the transaction must not be committed.
        """
        table, known = self._table, self._known
        as_known = (table.c.seen == known.seen) & (table.c.published == known.published)
        gone = self._connection.execute(table.delete().where((table.c.target == self._key) & as_known))
        if gone.rowcount == 0 and known != Progress():
            raise SinkError(
                "another process has gone on with this run in the same table",
                fix="nothing needs to be done: nothing of this process's last rows was committed",
            )
        failed = json.dumps(list(progress.failed.items()))
        row = {"target": self._key, "seen": progress.seen, "failed": failed, "published": progress.published}
        self._connection.execute(self._table.insert(), row)
        self._known = progress
