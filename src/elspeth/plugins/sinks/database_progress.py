"""How far a ``database`` sink has come, kept in the database that it fills."""

import json
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Boolean, Column, Connection, MetaData, String, Table, Text

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

    def read(self) -> Progress:
        """What is on record; nothing seen if nothing is."""
        query = self._table.select().where(self._table.c.target == self._key)
        found = self._connection.execute(query).one_or_none()
        if found is None:
            return Progress()
        failed = {int(seen): why for seen, why in json.loads(found.failed)}
        return Progress(int(found.seen), failed, bool(found.published))

    def record(self, progress: Progress) -> None:
        """Replace what is on record."""
        self._connection.execute(self._table.delete().where(self._table.c.target == self._key))
        failed = json.dumps(list(progress.failed.items()))
        row = {"target": self._key, "seen": progress.seen, "failed": failed, "published": progress.published}
        self._connection.execute(self._table.insert(), row)
