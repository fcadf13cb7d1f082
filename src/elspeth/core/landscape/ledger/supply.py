"""The records as they are in the database now, handed out one by one as the leaves ask for them."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.leaves import leaf, trace_leaf
from elspeth.core.landscape.ledger.records import KINDS, RunKey

Key = tuple[Any, ...]


class Traces:
    """The traces of a run in the order of their keys, each read once.

    Leaves come almost in that order, so that only the leaves of tokens that ended out of turn are held.
    """

    def __init__(self, connection: Connection, run: RunKey) -> None:
        self._open = records.open_paths(connection, run)
        sql = "SELECT * FROM traces WHERE run_no = ? ORDER BY row_no, token_no"
        self._rows: Iterator[Sequence[Any]] = records.stream(connection, sql, (run.run_no,))
        self._held: dict[Key, bytes] = {}
        self._opened: dict[Key, bytes] = {}
        self._at: Key | None = (-1, -1)

    def take(self, keys: Iterator[Key]) -> list[bytes | None]:
        """The leaves of these traces, None for one that is not there or was taken."""
        found: list[bytes | None] = []
        held, opened = self._held, self._opened
        for key in keys:
            mine = held.pop(key, None)
            if mine is None and self._at is not None and self._at < key:
                mine = self._read_to(key)
            if mine is None:
                mine = opened.pop(key, None)
            found.append(mine)
        return found

    def _read_to(self, key: Key) -> bytes | None:
        for row in self._rows:
            here = (row[1], row[2])
            value = trace_leaf(row)
            if type(here[0]) is int and type(here[1]) is int:
                self._at = here
            if here == key and row[3] not in self._open:
                return value
            (self._opened if row[3] in self._open else self._held)[here] = value
            if self._at is not None and self._at >= key:
                return None
        self._at = None
        return None

    def rest(self) -> tuple[list[Key], list[Key]]:
        """The keys of what nobody asked for: traces that have ended, and open ones."""
        for row in self._rows:
            (self._opened if row[3] in self._open else self._held)[row[1], row[2]] = b""
        return sorted(self._held, key=str), sorted(self._opened, key=str)


class Supply:
    """All records of a run by kind and key, as leaves."""

    def __init__(self, connection: Connection, run: RunKey) -> None:
        self._connection = connection
        self._run = run
        self._loaded: dict[str, dict[Key, bytes]] = {}
        self.traces = Traces(connection, run)

    def take(self, kind: str, keys: Iterator[Key]) -> list[bytes | None]:
        """The leaves of these records, None for one that is not there or was taken. Raises KeyError
        for an unknown kind."""
        if kind == "trace":
            return self.traces.take(keys)
        loaded = self._load(kind)
        return [loaded.pop(key, None) for key in keys]

    def rest(self) -> dict[str, list[Key]]:
        """The keys of what nobody asked for, by kind; without traces, and without what may be restated."""
        return {
            kind.name: list(self._load(kind.name))
            for kind in KINDS.values()
            if not kind.restated and kind.name != "trace"
        }

    def _load(self, name: str) -> dict[Key, bytes]:
        if name not in self._loaded:
            kind = KINDS[name]
            if name == "path":
                paths = records.read_paths(self._connection, self._run)
                self._loaded[name] = {(number,): leaf(name, values) for number, values in paths.items()}
            else:
                found = records.read(self._connection, kind, self._run)
                self._loaded[name] = {key: leaf(name, values) for key, values in found}
        return self._loaded[name]
