"""One run's tree as it grows: what a commit adds, in the commit's own transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.ddl import ddl_hash, read_ddl
from elspeth.core.landscape.ledger.heads import ORIGIN, Head, SigningKey, head_note
from elspeth.core.landscape.ledger.index import IndexUnreadableError, Section, pack, unpack
from elspeth.core.landscape.ledger.leaves import leaf, trace_leaves
from elspeth.core.landscape.ledger.records import KINDS, OUTSIDE, Kind, RunKey, placed
from elspeth.core.landscape.ledger.state import Stated, statements
from elspeth.core.landscape.ledger.tree import Tree

TAG = 4
_OUTSIDE = frozenset(kind.name for kind in OUTSIDE)
OWN_PATHS = 1 << 30
"""From here up a path is one token's (`stepwise.tokens.FIRST_OWN_PATH`, which can't be imported here)."""

_HEAD = "head_no, tree_size, root, note, first_row, last_row, leaf_keys, leaf_tags, blocks, frontier"
_PUT = f"INSERT INTO tree_heads (run_no, {_HEAD}) VALUES ({', '.join('?' * 11)})"


@dataclass(frozen=True, slots=True)
class Written:
    """What a commit wrote. ``others`` are rows by table; open traces among ``traces`` are passed over."""

    traces: Sequence[tuple[Any, ...]] = ()
    paths: Mapping[int, list[Any]] = field(default_factory=dict)
    others: Mapping[str, Sequence[tuple[Any, ...]]] = field(default_factory=dict)


class _Leaves:
    """New leaves, and which records they are."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.sections: list[Section] = []
        self.rows: list[int] = []

    def put(self, kind: str, found: Iterable[records.Record], *, keep: bool = False) -> None:
        known = list(found)
        if known:
            self.hashes += [leaf(kind, values) for _, values in known]
            contents = [values for _, values in known] if keep else None
            self.sections.append(Section.of(kind, [key for key, _ in known], contents))

    def put_traces(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self.hashes += trace_leaves(rows)
            self.rows = [row[1] for row in rows]
            self.sections.append(Section("trace", [self.rows, [row[2] for row in rows]]))


class Ledger:
    """The tree of one run. `add` belongs into the transaction that wrote the records.

    A ledger whose transaction was rolled back is ahead of the database, and must not be used again.
    """

    def __init__(self, run: RunKey) -> None:
        self.run = run
        self.head_no = -1
        self.tree = Tree()
        self.open_paths: set[int] = set()
        self.state = Stated()
        self._stated: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self._known: dict[str, set[tuple[Any, ...]]] = {}
        self._caught_up = False
        self._found: set[tuple[str, tuple[Any, ...]]] = set()

    @classmethod
    def open(cls, connection: Connection, run: RunKey) -> "Ledger":
        """Go on from the last head on record. Raises LandscapeError if heads contradict themselves."""
        ledger = cls(run)
        sql = placed(connection, "SELECT leaf_keys FROM tree_heads WHERE run_no = ? ORDER BY head_no")
        try:
            for row in connection.exec_driver_sql(sql, (run.run_no,)):
                ledger._learn(unpack(bytes(row[0]), without_traces=True))
                ledger.head_no += 1
            if ledger.head_no >= 0:
                ledger._continue(connection)
        except (IndexUnreadableError, ValueError) as error:
            raise LandscapeError(
                f"the tree heads of run {run.run_id} were changed: {error}",
                fix="see what `elspeth verify` says; this run can't go on",
            ) from error
        ledger.open_paths = records.open_paths(connection, run)
        return ledger

    def _learn(self, sections: Sequence[Section]) -> None:
        for section in sections:
            if self.state.learn(section):
                continue
            if section.contents is not None:
                for key, values in zip(section.keys(), section.contents, strict=True):
                    self._stated[section.kind, key] = values
            elif section.kind in _OUTSIDE:
                self._known.setdefault(section.kind, set()).update(section.keys())

    def _continue(self, connection: Connection) -> None:
        sql = placed(
            connection, "SELECT tree_size, root, frontier FROM tree_heads WHERE run_no = ? AND head_no = ?"
        )
        size, root, frontier = connection.exec_driver_sql(sql, (self.run.run_no, self.head_no)).one()
        self.tree = Tree(size, bytes(frontier))
        if self.tree.root() != bytes(root):
            raise ValueError(f"the root of head {self.head_no} is not that of its tree")

    def is_last(self, connection: Connection) -> bool:
        """Whether nobody else added a head since this ledger did."""
        sql = placed(connection, "SELECT max(head_no) FROM tree_heads WHERE run_no = ?")
        last = connection.exec_driver_sql(sql, (self.run.run_no,)).scalar()
        return (-1 if last is None else last) == self.head_no

    def add(
        self,
        connection: Connection,
        written: Written,
        noted: Iterable[tuple[str, tuple[Any, ...]]],
        key: SigningKey | None,
    ) -> Head:
        """Make leaves of what a commit wrote and of what was written beside it, and store the new head.

        ``noted`` are (kind, key) of records that were written in transactions of their own; the
        first call of a process finds those for itself.
        """
        new = _Leaves()
        self._begin(connection, new)
        self._restate(connection, new, (records.RUN, records.NODE))
        if self._caught_up:
            self._put_noted(connection, new, noted)
        else:
            # What this commit itself wrote of them (assignments) is in the database already, and comes below.
            beside = [kind for kind in OUTSIDE if kind.table.name not in written.others]
            self._catch_up(connection, new, beside)
        ended = self._split_paths(new, written.paths)
        new.put("path", [((number,), values) for number, values in ended])
        for table, rows in written.others.items():
            self._put_rows(connection, new, table, rows)
        new.put_traces(self._put_state(connection, new, written.traces))
        return self._store(connection, new, key)

    def close(self, connection: Connection, key: SigningKey | None) -> Head:
        """The head at the end of a run: how it ended, what it left behind, and whatever is no leaf yet.

        For a run that was written record by record this is where everything that has ended becomes a leaf.
        """
        new = _Leaves()
        whole = self._begin(connection, new)
        self._restate(connection, new, (records.RUN, records.NODE, records.ARTIFACT))
        others = [kind for kind in KINDS.values() if not kind.restated and kind.name not in ("path", "trace")]
        self._catch_up(connection, new, others if whole else OUTSIDE)
        if whole:
            paths = records.read_paths(connection, self.run)
            new.put(
                "path", [((number,), paths[number]) for number in sorted(paths) if _is_final(paths[number])]
            )
            unfinished = {number for number in paths if paths[number][6] is None}
            sql = "SELECT * FROM traces WHERE run_no = ? ORDER BY row_no, token_no"
            found = records.stream(connection, sql, (self.run.run_no,))
            new.put_traces([tuple(row) for row in found if row[3] not in unfinished])
        return self._store(connection, new, key)

    def _put_state(
        self, connection: Connection, new: _Leaves, traces: Sequence[tuple[Any, ...]]
    ) -> Sequence[tuple[Any, ...]]:
        """Leaves for what a resume goes by; gives the traces that have ended."""
        open_paths, waited = self.open_paths, self.state.open
        ended = [row for row in traces if row[3] not in open_paths] if open_paths else traces
        opened = [row for row in traces if row[3] in open_paths] if len(ended) < len(traces) else []
        gone = [(row[1], row[2]) for row in ended if (row[1], row[2]) in waited] if waited else []
        for kind, found in statements(connection, self.run, opened, gone):
            new.put(kind.name, found, keep=True)
            if found:
                self.state.learn(new.sections[-1])
        return ended

    def _split_paths(self, new: _Leaves, paths: Mapping[int, list[Any]]) -> list[tuple[int, list[Any]]]:
        self.open_paths.update(number for number, values in paths.items() if values[6] is None)
        return sorted(paths.items())

    def _begin(self, connection: Connection, new: _Leaves) -> bool:
        """Leaf 0 and leaf 1 of a new tree: the schema, and the head of the run before."""
        if self.tree.size:
            return False
        ddl = read_ddl(connection)
        name = ddl_hash(ddl)
        sql = "INSERT INTO tree_schemas VALUES (?, ?) ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(placed(connection, sql), (name, ddl))
        new.put("schema", [((0,), [name])], keep=True)
        new.put("previous", [((0,), _previous(connection, self.run))], keep=True)
        return True

    def _restate(self, connection: Connection, new: _Leaves, kinds: Sequence[Kind]) -> None:
        """Leaves for what may change and did: new values, or null where the record is gone."""
        for kind in kinds:
            now = dict(records.read(connection, kind, self.run))
            gone = [key for of, key in self._stated if of == kind.name and key not in now]
            found = [
                (key, values) for key, values in now.items() if self._stated.get((kind.name, key)) != values
            ]
            found += [(key, []) for key in gone if self._stated[kind.name, key]]
            for key, values in found:
                self._stated[kind.name, key] = values
            new.put(kind.name, found, keep=True)

    def _catch_up(self, connection: Connection, new: _Leaves, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            known = self._known.pop(kind.name, set())
            if self._caught_up and kind in OUTSIDE:
                known |= _sealed(connection, self.run, kind)
            missing = [key for key in records.read_keys(connection, kind, self.run) if key not in known]
            # Whoever wrote these may be about to note them: they must not become leaves twice.
            self._found.update((kind.name, key) for key in missing if kind in OUTSIDE)
            new.put(kind.name, records.read_some(connection, kind, self.run, missing))
        self._caught_up = True

    def _put_noted(
        self, connection: Connection, new: _Leaves, noted: Iterable[tuple[str, tuple[Any, ...]]]
    ) -> None:
        by_kind: dict[str, list[tuple[Any, ...]]] = {}
        for kind, key in noted:
            if (kind, key) in self._found:
                continue
            by_kind.setdefault(kind, []).append(key)
        for kind, keys in by_kind.items():
            new.put(kind, records.read_some(connection, KINDS[kind], self.run, keys))

    def _put_rows(
        self, connection: Connection, new: _Leaves, table: str, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        kind = records.BY_TABLE.get(table)
        if kind is None:
            return  # state
        found = [records.values_of(kind, row) for row in rows]
        keyed = [(records.key_of(kind, values), values) for values in found]
        if not records.is_exact(kind):
            keyed = list(records.read_some(connection, kind, self.run, [key for key, _ in keyed]))
        new.put(kind.name, keyed)

    def _store(self, connection: Connection, new: _Leaves, key: SigningKey | None) -> Head:
        packed = pack(new.sections)
        new.hashes.append(leaf("index", [packed]))
        blocks = self.tree.append(new.hashes)
        self.head_no += 1
        root, origin = self.tree.root(), ORIGIN + self.run.run_id
        head = Head(
            self.run.run_no, self.head_no, origin, self.tree.size, root,
            head_note(origin, self.tree.size, root, key),
        )  # fmt: skip
        tags = b"".join([each[:TAG] for each in new.hashes])
        rows = (min(new.rows), max(new.rows)) if new.rows else (None, None)
        connection.exec_driver_sql(
            placed(connection, _PUT),
            (head.run_no, head.head_no, head.size, root, head.note, *rows, packed, tags,
             b"".join(blocks), self.tree.frontier()),
        )  # fmt: skip
        return head


def _is_final(path: Sequence[Any]) -> bool:
    """Whether nothing will be added to a path: the engine's never change, a token's own until it ends."""
    return path[6] is not None or path[1] < OWN_PATHS


def _previous(connection: Connection, run: RunKey) -> list[Any]:
    """The last head of the last run before this one that has one: run id, head, size, root; or nothing."""
    row = connection.exec_driver_sql(
        placed(
            connection,
            """SELECT r.run_id, h.head_no, h.tree_size, h.root FROM tree_heads h
            JOIN runs r ON r.run_no = h.run_no
            WHERE h.run_no < ? ORDER BY h.run_no DESC, h.head_no DESC LIMIT 1""",
        ),
        (run.run_no,),
    ).one_or_none()
    return [] if row is None else [row[0], row[1], row[2], bytes(row[3]).hex()]


def _sealed(connection: Connection, run: RunKey, kind: Kind) -> set[tuple[Any, ...]]:
    """The keys of all records of a kind that are leaves."""
    found: set[tuple[Any, ...]] = set()
    sql = placed(connection, "SELECT leaf_keys FROM tree_heads WHERE run_no = ?")
    for row in connection.exec_driver_sql(sql, (run.run_no,)):
        for section in unpack(bytes(row[0]), without_traces=True):
            if section.kind == kind.name:
                found.update(section.keys())
    return found
