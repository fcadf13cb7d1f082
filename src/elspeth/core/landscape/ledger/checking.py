"""Checking one run: every record against its leaf, every leaf against its head, nothing left over."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.contents import TABLE as STORE
from elspeth.core.landscape.ledger.contents import lost_contents
from elspeth.core.landscape.ledger.findings import RunReport, key_text
from elspeth.core.landscape.ledger.growth import OWN_PATHS, TAG
from elspeth.core.landscape.ledger.heads import ORIGIN, NoteError, VerifierKey, parse_note
from elspeth.core.landscape.ledger.index import IndexUnreadableError, Section, unpack
from elspeth.core.landscape.ledger.leaves import leaf
from elspeth.core.landscape.ledger.purges import taken_away
from elspeth.core.landscape.ledger.records import KINDS, NODE, OUTSIDE, RunKey, placed
from elspeth.core.landscape.ledger.state import Stated
from elspeth.core.landscape.ledger.supply import Key, Supply
from elspeth.core.landscape.ledger.tree import Tree

_HEADS = """SELECT head_no, tree_size, root, note, leaf_keys, leaf_tags, blocks, frontier, first_row, last_row
    FROM tree_heads WHERE run_no = ? ORDER BY head_no"""
_OPEN = ("running", "failed", "interrupted")
_INDEX: tuple[str, Key] = ("tree_heads", ("leaf_keys",))
_RUN_STATE = ("completed_at", "status", "error")


class RunCheck:
    """One verification of one run, in one transaction that sees the same database throughout."""

    def __init__(self, connection: Connection, run: RunKey, key: VerifierKey | None = None) -> None:
        self._connection = connection
        self._run = run
        self._key = key
        self._supply = Supply(connection, run)
        self._tree = Tree()
        self._state = Stated()
        self._stated: dict[tuple[str, Key], Any] = {}
        self._blind = False  # some head's list of leaves can't be read
        self.report = RunReport(run.run_id)
        self.previous: list[Any] = []
        self.schema_hash = ""

    def check(self) -> RunReport:
        """Check everything; the report names each record that is not as it was written."""
        report = self.report
        status = records.placed(self._connection, "SELECT status FROM runs WHERE run_no = ?")
        report.status = str(self._connection.exec_driver_sql(status, (self._run.run_no,)).scalar())
        for row in records.stream(self._connection, _HEADS, (self._run.run_no,)):
            self._check_head(row)
        report.leaves = self._tree.size
        if report.heads:
            report.root = self._tree.root().hex()
            self._check_restated()
            self._check_rest()
            for table, at, what in self._state.differences(self._connection, self._run):
                if not self._blind:
                    report.found(table, at, what, "it is not what the last commit said of it")
            for table, key in taken_away(self._connection, self._run):
                self.report.found(table, key, "removed", "its contents are gone, and no purge is on record")
            for segment, why in lost_contents(self._connection, self._run):
                self.report.found(STORE, segment, "damaged", why)
        else:
            self._without_heads()
        return report

    def _check_head(self, row: Sequence[Any]) -> None:
        head_no, size, root, note, packed, tags, blocks, frontier, *_ = row
        report, at = self.report, f"head_no={head_no}"
        if head_no != report.heads:
            report.found("tree_heads", f"head_no={report.heads}", "removed", "the heads are not numbered on")
        report.heads = head_no + 1 if isinstance(head_no, int) else report.heads + 1
        try:
            sections = unpack(bytes(packed))
            leaves, wrong, missing = self._collect(sections, bytes(packed), bytes(tags))
        except (IndexUnreadableError, TypeError, KeyError) as error:
            self._blind = True
            report.found("tree_heads", at, "changed", f"its list of leaves can't be read ({error})")
            self._go_on_from(size, root, frontier)
            return
        made = self._tree.append([each or bytes(32) for each in leaves])
        right = self._tree.size == size and self._tree.root() == root
        if right and wrong:
            report.found("tree_heads", at, "changed", "its leaf_tags are not those of its records")
        elif (_INDEX in wrong) and len(wrong) > 1 and _same_but_for_order(leaves[:-1], tags[:-TAG]):
            report.found("tree_heads", at, "reordered", "its leaves are the right ones in a wrong order")
        elif _INDEX in wrong:
            self._blind = True
            report.found("tree_heads", at, "changed", "its leaf_keys are not those that its leaf was made of")
        else:
            self._name(wrong, "changed", "is not what its leaf was made of")
        if _INDEX not in wrong:
            self._name(missing, "removed", "has a leaf, but is not on record")
        if not right and not wrong and not missing:
            report.found("tree_heads", at, "changed", "size or root are not those of its records")
        if right and (b"".join(made) != blocks or self._tree.frontier() != frontier):
            report.found(
                "tree_heads", at, "changed", "its blocks or its frontier are not those of its leaves"
            )
        if right and _row_range(sections) != (row[8], row[9]):
            report.found("tree_heads", at, "changed", "its first_row or last_row are not those of its leaves")
        self._check_note(at, size, root, note)
        if not right:
            self._go_on_from(size, root, frontier)

    def _collect(
        self, sections: Sequence[Section], packed: bytes, tags: bytes
    ) -> tuple[list[bytes | None], list[tuple[str, Key]], list[tuple[str, Key]]]:
        """The new leaves of a head; which of them don't bear their tag; which are not there."""
        leaves: list[bytes | None] = []
        wrong, missing = [], []
        for section in sections:
            if section.contents is not None:
                got: list[bytes | None] = [leaf(section.kind, values) for values in section.contents]
                if not self._state.learn(section):
                    self._learn(section)
            else:
                got = self._supply.take(section.kind, section.keys())
                if section.kind == "trace":
                    self.report.tokens += len(got)
            start = TAG * len(leaves)
            leaves += got
            expected = tags[start : start + TAG * len(got)]
            if b"".join([each[:TAG] if each else b"none" for each in got]) == expected and None not in got:
                continue
            for place, (key, each) in enumerate(zip(section.keys(), got, strict=True)):
                if each is None:
                    missing.append((section.kind, key))
                elif each[:TAG] != expected[TAG * place : TAG * place + TAG]:
                    wrong.append((section.kind, key))
        index = leaf("index", [packed])
        leaves.append(index)
        if index[:TAG] != tags[-TAG:]:
            wrong.append(_INDEX)
        if len(tags) != TAG * len(leaves):
            raise IndexUnreadableError("there is not one tag for each leaf")
        return leaves, wrong, missing

    def _learn(self, section: Section) -> None:
        for key, values in zip(section.keys(), section.contents or (), strict=True):
            before = self._stated.get((section.kind, key))
            self._stated[section.kind, key] = values
            if before and section.kind in ("node", "artifact") and not _only_schema_is_new(before, values):
                self.report.notes.append(f"{section.kind} {key[0]} was put on record anew, both are leaves")
        if section.kind == "previous":
            self.previous = list(section.contents[0]) if section.contents else []
        if section.kind == "schema" and section.contents:
            self.schema_hash = str(section.contents[0][0])

    def _go_on_from(self, size: Any, root: Any, frontier: Any) -> None:
        """Go on with what the head says, if it at least agrees with itself: later heads may be right."""
        try:
            tree = Tree(size, bytes(frontier))
        except (ValueError, TypeError):
            return
        if tree.root() == root:
            self._tree = tree

    def _check_note(self, at: str, size: Any, root: Any, note: Any) -> None:
        report = self.report
        try:
            says = parse_note(note)
        except (NoteError, TypeError, AttributeError, ValueError) as error:
            report.found("tree_heads", at, "changed", f"its note is no head ({error})")
            return
        if (says.origin, says.size, says.root) != (ORIGIN + self._run.run_id, size, root):
            report.found("tree_heads", at, "changed", "its note says something else")
        report.signed += bool(says.signatures)
        if self._key is not None and not self._key.signed(says):
            why = "its signature is not by this key" if says.signatures else "it has no signature"
            report.found("tree_heads", at, "unsigned", f"{why} ({self._key.name})")

    def _check_restated(self) -> None:
        """What may be restated must be as it was stated last."""
        for kind in KINDS.values():
            if not kind.restated:
                continue
            now = dict(records.read(self._connection, kind, self._run))
            names = [column.name for column in kind.table.columns]
            for key, values in now.items():
                stated = self._stated.pop((kind.name, key), None)
                at = key_text(kind.keys, key)
                if not stated:
                    if not self._blind:
                        self.report.found(kind.table.name, at, "added", "it has no leaf")
                elif stated != values:
                    parts = [
                        name for name, old, new in zip(names, stated, values, strict=False) if old != new
                    ]
                    if not self._is_underway(kind.name, parts, stated, values):
                        why = f"{', '.join(parts) or 'its columns'}: not what its leaf was made of"
                        self.report.found(kind.table.name, at, "changed", why)
            gone = [key for (of, key), values in self._stated.items() if of == kind.name and values]
            for key in gone:
                why = "has a leaf, but is not on record"
                self.report.found(kind.table.name, key_text(kind.keys, key), "removed", why)

    def _is_underway(
        self, kind: str, parts: Sequence[str], before: Sequence[Any], now: Sequence[Any]
    ) -> bool:
        """Whether a difference is one that the next commit of a run will make a leaf of."""
        if self.report.status != "running":
            return False
        if kind == "node":
            return parts == ["schema_json"] and before[9] is None
        if kind == "run" and set(parts) <= set(_RUN_STATE) and any(self._supply.rest()["event"]):
            self.report.notes.append("it is going on again; that is no leaf yet")
            return now[3] is None
        return False

    def _check_rest(self) -> None:
        """What is on record without a leaf."""
        report, running = self.report, self.report.status == "running"
        for name, keys in self._supply.rest().items():
            kind = KINDS[name]
            if name == "path":
                keys = [key for key in keys if not self._is_unfinished(key[0])]
            if running and kind in OUTSIDE and keys:
                report.notes.append(f"{len(keys)} records of {kind.table.name} are no leaves yet")
                continue
            self._name([(name, key) for key in keys], "added", "has no leaf")
        ended, still_open = self._supply.traces.rest()
        self._name([("trace", key) for key in ended], "added", "has no leaf")
        if still_open and report.status in _OPEN:
            report.notes.append(f"{len(still_open)} tokens have not ended: they are no leaves yet")
            self._name(
                [("trace", key) for key in still_open if self._is_strange(key)], "added", "has no leaf"
            )
        elif still_open:
            self._name([("trace", key) for key in still_open], "added", "is open, in a run that is complete")
        sql = placed(self._connection, "SELECT count(*) FROM waiting_tokens WHERE run_no = ?")
        waiting = self._connection.exec_driver_sql(sql, (self._run.run_no,)).scalar()
        if waiting and report.status not in _OPEN:
            report.found(
                "waiting_tokens", f"{waiting} rows", "added", "nothing waits in a run that is complete"
            )

    def _is_strange(self, key: Key) -> bool:
        """Whether an open trace is one that no commit of the engine put there."""
        return self._state.checkpoint is not None and key not in self._state.open

    def _is_unfinished(self, path_no: Any) -> bool:
        """Whether a path is one token's own, and may still grow."""
        own = isinstance(path_no, int) and path_no >= OWN_PATHS
        return own and path_no in records.open_paths(self._connection, self._run)

    def _without_heads(self) -> None:
        """A run that nobody sealed: right if it has committed nothing, or is written record by record."""
        sql = placed(self._connection, "SELECT count(*) FROM checkpoints WHERE run_no = ?")
        committed = self._connection.exec_driver_sql(sql, (self._run.run_no,)).scalar()
        if self.report.status != "running" or committed:
            self.report.found("tree_heads", "all", "removed", "the run has no tree heads, and should have")
        else:
            self.report.notes.append("no leaves yet: nothing of this run is proved")

    def _name(self, which: Sequence[tuple[str, Key]], what: str, why: str) -> None:
        if what == "added" and self._blind:
            return  # they may well be in the list that can't be read
        for name, key in which:
            kind = KINDS.get(name)
            table, keys = (kind.table.name, kind.keys) if kind else (name, ("no",))
            self.report.found(table, key_text(keys, key), what, why)


def _only_schema_is_new(before: Sequence[Any], now: Sequence[Any]) -> bool:
    """Whether a node's columns became known, and nothing else happened to it."""
    names = [column.name for column in NODE.table.columns]
    if len(before) != len(names) or len(now) != len(names):
        return False
    changed = {name for name, old, new in zip(names, before, now, strict=True) if old != new}
    return changed <= {"schema_json"} and before[names.index("schema_json")] is None


def _same_but_for_order(leaves: Sequence[bytes | None], tags: bytes) -> bool:
    here = sorted(each[:TAG] if each else b"" for each in leaves)
    return here == sorted(tags[place : place + TAG] for place in range(0, len(tags), TAG))


def _row_range(sections: Sequence[Section]) -> tuple[int | None, int | None]:
    rows = [row for section in sections if section.kind == "trace" for row in section.columns[0]]
    return (min(rows), max(rows)) if rows else (None, None)
