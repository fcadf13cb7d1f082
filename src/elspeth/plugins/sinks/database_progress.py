"""How far a ``database`` sink has come, kept in the database that it fills."""

import json
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, Text

_PROGRESS = "elspeth_sink_progress"


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows were ``seen`` (taken or refused), and which of the last flush were refused, and why."""

    seen: int = 0
    failed: dict[int, str] = field(default_factory=dict)


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
        )
        self._table.create(connection, checkfirst=True)

    def read(self) -> Progress:
        """What is on record; nothing seen if nothing is."""
        query = self._table.select().where(self._table.c.target == self._key)
        found = self._connection.execute(query).one_or_none()
        if found is None:
            return Progress()
        return Progress(int(found.seen), {int(seen): why for seen, why in json.loads(found.failed)})

    def record(self, progress: Progress) -> None:
        """Replace what is on record."""
        self.forget()
        failed = json.dumps(list(progress.failed.items()))
        row = {"target": self._key, "seen": progress.seen, "failed": failed}
        self._connection.execute(self._table.insert(), row)

    def forget(self) -> None:
        """Remove what is on record."""
        self._connection.execute(self._table.delete().where(self._table.c.target == self._key))
