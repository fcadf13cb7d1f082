"""Making the proof of one row: which leaves its records are, and the ways from them to the last head."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from elspeth.contracts.errors import LandscapeError, NotFoundError
from elspeth.core.landscape import ids
from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.heads import parse_note
from elspeth.core.landscape.ledger.index import IndexUnreadableError, Section, unpack
from elspeth.core.landscape.ledger.proofs import ProvenRecord, RowProof, leaf_of
from elspeth.core.landscape.ledger.records import KINDS, RunKey, placed
from elspeth.core.landscape.ledger.tree import (
    BLOCK,
    BLOCK_LEVEL,
    HASH,
    inclusion_path,
    join,
    root_of,
)

Key = tuple[Any, ...]
Wanted = dict[tuple[str, Key], list[Any]]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A head as stored, with the index of its first leaf."""

    start: int
    end: int
    rows: tuple[int, int]
    packed: bytes

    def sections(self, row_no: int | None = None) -> Sequence[Section]:
        """What its leaves are; without its traces if none of them is of row ``row_no``."""
        elsewhere = row_no is not None and not self.rows[0] <= row_no <= self.rows[1]
        return unpack(self.packed, without_traces=elsewhere)


def prove_row(connection: Connection, run: RunKey, row_no: int) -> RowProof:
    """All records of a row with their ways to the run's last head.

    Raises NotFoundError for a row that is not on record or is no leaf yet, LandscapeError where a
    record is not what its leaf was made of.
    """
    wanted = _records_of(connection, run, row_no)
    if not any(kind == "trace" for kind, _ in wanted):
        raise NotFoundError(f"run {run.run_id} has no row {row_no} on record that has ended")
    try:
        return _Prover(connection, run).prove(wanted, row_no)
    except (IndexUnreadableError, ValueError) as error:
        raise LandscapeError(
            f"the tree of run {run.run_id} can't be read: {error}", fix="see what `elspeth verify` says"
        ) from error


def _records_of(connection: Connection, run: RunKey, row_no: int) -> Wanted:
    """Everything on record of a row, by kind and key, the run's own record first."""
    found: Wanted = {}
    for key, values in records.read(connection, records.RUN, run):
        found["run", key] = values
    unfinished = records.open_paths(connection, run)
    paths: set[int] = set()
    for row in _rows(connection, "SELECT * FROM traces WHERE run_no = ? AND row_no = ?", run.run_no, row_no):
        if row[3] not in unfinished:
            found["trace", (row[1], row[2])] = list(row)
            paths.add(row[3])
    for number, values in records.read_paths(connection, run, sorted(paths)).items() if paths else ():
        found["path", (number,)] = values
    for kind in (records.ERROR, records.JOIN, records.BATCH_TOKEN):
        sql = f"SELECT * FROM {kind.table.name} WHERE run_no = ? AND row_no = ?"
        for row in _rows(connection, sql, run.run_no, row_no):
            values = records.values_of(kind, row)
            found[kind.name, records.key_of(kind, values)] = values
    _add_calls(connection, run, found)
    _add_variants(connection, run, found)
    alias = next((values[10] for (kind, _), values in found.items() if kind == "trace"), None)
    sql = "SELECT * FROM assignments WHERE run_id = ? AND row_id = ?"
    for row in _rows(connection, sql, run.run_id, alias or ids.row_id(run.run_id, row_no)):
        values = records.values_of(records.ASSIGNMENT, row)
        found["assignment", records.key_of(records.ASSIGNMENT, values)] = values
    return found


def _add_calls(connection: Connection, run: RunKey, found: Wanted) -> None:
    steps: dict[int, list[tuple[int, int]]] = {}
    for row in _rows(
        connection, "SELECT path_no, step_index, attempt FROM path_steps WHERE run_no = ?", run.run_no
    ):
        steps.setdefault(row[0], []).append((row[1], row[2]))
    states = [
        ids.state_id(values[11] or ids.token_id(run.run_id, values[1], values[2]), index, attempt)
        for (kind, _), values in found.items()
        if kind == "trace"
        for index, attempt in steps.get(values[3], ())
    ]
    for state in states:
        for row in _rows(connection, "SELECT * FROM calls WHERE state_id = ? ORDER BY call_index", state):
            values = records.values_of(records.CALL, row)
            found["call", records.key_of(records.CALL, values)] = values


def _add_variants(connection: Connection, run: RunKey, found: Wanted) -> None:
    """What the marks of traces stand for."""
    marks = [values[12] for (kind, _), values in found.items() if kind == "trace" and values[12] is not None]
    numbers = {mark[0] for text in marks for mark in orjson.loads(text)}
    for key, values in records.read_some(
        connection, records.VARIANT, run, [(number,) for number in sorted(numbers)]
    ):
        found["variant", key] = values


def _rows(connection: Connection, sql: str, *parameters: Any) -> Iterator[Sequence[Any]]:
    yield from connection.exec_driver_sql(placed(connection, sql), parameters).fetchall()


class _Prover:
    """One run's tree as far as it is needed."""

    def __init__(self, connection: Connection, run: RunKey) -> None:
        self._connection = connection
        self._run = run
        self._heads: list[_Stored] = []
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._leaves: dict[int, list[bytes]] = {}
        self.note = ""
        start, blocks = 0, b""
        sql = """SELECT tree_size, note, first_row, last_row, leaf_keys, blocks FROM tree_heads
            WHERE run_no = ? ORDER BY head_no"""
        for size, note, first, last, packed, made in _rows(connection, sql, run.run_no):
            rows = (0, -1) if first is None or last is None else (first, last)
            self._heads.append(_Stored(start, size, rows, bytes(packed)))
            start, self.note = size, note
            blocks += bytes(made)
        self.size = start
        for number in range(len(blocks) // HASH):
            self._nodes[BLOCK_LEVEL, number] = blocks[HASH * number : HASH * (number + 1)]

    def prove(self, wanted: Wanted, row_no: int) -> RowProof:
        places = self._find(wanted, row_no)
        lost = [key for key in wanted if key not in places]
        if not self.note or any(kind in ("trace", "run") for kind, _ in lost):
            raise NotFoundError(
                f"this row of run {self._run.run_id} is no leaf yet", fix="wait until the run has ended"
            )
        head = parse_note(self.note)
        found = []
        for key, index in places.items():
            path = inclusion_path(index, self.size, self._node)
            record = ProvenRecord(key[0], wanted[key], index, path)
            if not record.leads_to(head):
                raise LandscapeError(
                    f"{key[0]} {key[1]} of run {self._run.run_id} is not what its leaf was made of",
                    fix="see what `elspeth verify` says",
                )
            found.append(record)
        return RowProof(tuple(found), self.note)

    def _find(self, wanted: Wanted, row_no: int) -> dict[tuple[str, Key], int]:
        """The index of each record's leaf; of what was restated, that of the last version."""
        found: dict[tuple[str, Key], int] = {}
        kinds = {kind for kind, _ in wanted}
        for head in self._heads:
            start = head.start
            for section in head.sections(row_no):
                if section.kind in kinds and not isinstance(section.columns[0], range):
                    for place, key in enumerate(section.keys()):
                        if (section.kind, key) in wanted:
                            found[section.kind, key] = start + place
                start += len(section)
        return {key: found[key] for key in wanted if key in found}

    def _node(self, level: int, number: int) -> bytes:
        if level >= BLOCK_LEVEL:
            known = self._nodes.get((level, number))
            if known is None:
                known = join(self._node(level - 1, 2 * number), self._node(level - 1, 2 * number + 1))
                self._nodes[level, number] = known
            return known
        first = number << level
        leaves = self._block(first // BLOCK)
        return root_of(leaves[first % BLOCK : first % BLOCK + (1 << level)])

    def _block(self, block: int) -> list[bytes]:
        """The leaves of one block, made from their records."""
        if block not in self._leaves:
            first, last = BLOCK * block, min(BLOCK * (block + 1), self.size)
            leaves: list[bytes] = []
            for head in self._heads:
                if head.end <= first or head.start >= last:
                    continue
                start = head.start
                for section in head.sections():
                    low, high = max(first - start, 0), min(last - start, len(section))
                    if low < high:
                        leaves += self._made(section, low, high)
                    start += len(section)
                if first <= start < last:
                    leaves.append(leaf_of("index", [head.packed]))
            self._leaves[block] = leaves
        return self._leaves[block]

    def _made(self, section: Section, low: int, high: int) -> list[bytes]:
        if section.contents is not None:
            return [leaf_of(section.kind, values) for values in section.contents[low:high]]
        keys = [tuple(column[place] for column in section.columns) for place in range(low, high)]
        found: Mapping[Key, Sequence[Any]]
        if section.kind == "path":
            paths = records.read_paths(self._connection, self._run, [key[0] for key in keys])
            found = {(number,): values for number, values in paths.items()}
        else:
            kind = KINDS[section.kind]
            found = dict(records.read_some(self._connection, kind, self._run, keys))
        missing = [key for key in keys if key not in found]
        if missing:
            raise LandscapeError(
                f"{section.kind} {missing[0]} of run {self._run.run_id} has a leaf, but is not on record",
                fix="see what `elspeth verify` says",
            )
        return [leaf_of(section.kind, found[key]) for key in keys]
