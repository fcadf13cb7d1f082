"""What a resume goes by, under the proof: the checkpoint, and the tokens that have not ended.

They change and go as a run goes on, so that only their hashes are leaves, anew with each commit that
changes them; the last one counts. ``checkpoint``: the one row of the run. ``open``: an open trace and its
row of ``waiting_tokens``, or nothing once the token has ended.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from elspeth.core.landscape import tables
from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.index import Section
from elspeth.core.landscape.ledger.leaves import encode, trace_leaf
from elspeth.core.landscape.ledger.records import Kind, Record, RunKey

CHECKPOINT = Kind("checkpoint", tables.checkpoints_table, ("run_no",))
WAITING = Kind("open", tables.waiting_tokens_table, ("row_no", "token_no"))

_TABLES = ("traces", "waiting_tokens")
_NOTHING = (None, None)

Token = tuple[Any, Any]
Difference = tuple[str, str, str]
"""Table, key, and what it is: changed, added or removed."""


class Stated:
    """What heads said of the state, the last word on each."""

    def __init__(self) -> None:
        self.checkpoint: str | None = None
        self.open: dict[Token, list[str | None]] = {}

    def learn(self, section: Section) -> bool:
        """Take in what one section of a head says, if it is about the state at all.

        Raises ValueError for what no head could say.
        """
        if section.kind not in (CHECKPOINT.name, WAITING.name):
            return False
        for values in section.contents or ():
            if section.kind == CHECKPOINT.name:
                (self.checkpoint,) = values
                continue
            row_no, token_no, *hashed = values
            if hashed:
                self.open[row_no, token_no] = hashed
            else:
                self.open.pop((row_no, token_no), None)
        return True

    def differences(self, connection: Connection, run: RunKey) -> Iterator[Difference]:
        """Where the state in the database is not the one that was stated last."""
        now = checkpoint_hash(connection, run)
        if now != self.checkpoint:
            what = "added" if self.checkpoint is None else "removed" if now is None else "changed"
            yield "checkpoints", f"run_no={run.run_no}", what
        here = _open_hashes(connection, run, self.open)
        for key in sorted({**here, **self.open}, key=str):
            pairs = zip(_TABLES, self.open.get(key, _NOTHING), here.get(key, _NOTHING), strict=True)
            for table, before, after in pairs:
                if before != after:
                    what = "added" if before is None else "removed" if after is None else "changed"
                    yield table, f"row_no={key[0]} token_no={key[1]}", what


def statements(
    connection: Connection, run: RunKey, opened: Sequence[Sequence[Any]], ended: Iterable[Token]
) -> Iterator[tuple[Kind, list[Record]]]:
    """What a commit has to say: ``opened`` are traces that it wrote as open, ``ended`` tokens that were."""
    waiting = dict(records.read_some(connection, WAITING, run, [(row[1], row[2]) for row in opened]))
    found: list[Record] = [((row_no, token_no), [row_no, token_no]) for row_no, token_no in ended]
    for row in opened:
        key = (row[1], row[2])
        found.append((key, [*key, *_hashes(row, waiting.get(key))]))
    yield WAITING, found
    checkpoint = checkpoint_hash(connection, run)
    if checkpoint is not None:
        yield CHECKPOINT, [((run.run_no,), [checkpoint])]


def checkpoint_hash(connection: Connection, run: RunKey) -> str | None:
    """The hash of a run's checkpoint, in hex; None if it has none."""
    for _, values in records.read(connection, CHECKPOINT, run):
        return sha256(encode(values)).hexdigest()
    return None


def _open_hashes(
    connection: Connection, run: RunKey, known: Iterable[Token]
) -> dict[Token, list[str | None]]:
    """What is there of tokens that wait, and of those that should: each with its hashes."""
    waiting = dict(records.read(connection, WAITING, run))
    unfinished = records.open_paths(connection, run)
    found = {}
    sql = records.placed(connection, "SELECT * FROM traces WHERE run_no = ? AND row_no = ? AND token_no = ?")
    for key in {*waiting, *known}:
        row = connection.exec_driver_sql(sql, (run.run_no, *key)).one_or_none()
        trace = row if row is not None and row[3] in unfinished else None
        found[key[0], key[1]] = _hashes(trace, waiting.get(key))
    return found


def _hashes(trace: Sequence[Any] | None, waiting: Sequence[Any] | None) -> list[str | None]:
    """Of an open trace, and of the row that says where it waits."""
    return [
        None if trace is None else trace_leaf(trace).hex(),
        None if waiting is None else sha256(encode(waiting)).hexdigest(),
    ]
