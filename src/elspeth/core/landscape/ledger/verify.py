"""Checking a whole landscape: its runs, its schema, what belongs to no run, and the anchors outside."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from elspeth.core.landscape.ledger.checking import RunCheck
from elspeth.core.landscape.ledger.ddl import ddl_hash, differences, read_ddl
from elspeth.core.landscape.ledger.findings import Finding, Report, RunReport, key_text
from elspeth.core.landscape.ledger.heads import Checkpoint, VerifierKey
from elspeth.core.landscape.ledger.records import RunKey, placed
from elspeth.core.landscape.tables import metadata

# Values that no writer puts there make Python's own errors; whoever put them must not stop the check.
_DAMAGE = (DBAPIError, sqlite3.Error, ValueError, TypeError, LookupError, AttributeError, OverflowError)


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One view of the database for all queries inside, whoever writes meanwhile.

    On SQLite texts that are not UTF-8 are read nevertheless: they are findings, not failures.
    """
    connection.rollback()  # a query before this one began a transaction of its own
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
        connection.rollback()
        return
    raw: Any = connection.connection.driver_connection
    connection.exec_driver_sql("BEGIN")
    before = raw.text_factory
    raw.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        raw.text_factory = before
        connection.rollback()


def verify(
    connection: Connection,
    runs: Sequence[RunKey] | None = None,
    key: VerifierKey | None = None,
    anchored: Iterable[Checkpoint] = (),
) -> Report:
    """Check these runs, or (None) the whole database.

    ``key``: every head must be signed by it. ``anchored``: heads from outside that must be found here.
    """
    findings: list[Finding] = []
    notes: list[str] = []
    with snapshot(connection):
        try:
            if runs is None:
                findings += _integrity(connection)
            chosen = _all_runs(connection) if runs is None else runs
        except _DAMAGE as error:
            return Report([], [*findings, _damaged(error)])
        checks = [RunCheckSafely(connection, run, key) for run in chosen]
        reports = [check.report for check in checks]
        for find in (
            _chains,
            _schemas if runs is None else _no_findings,
            _strays if runs is None else _no_findings,
        ):
            try:
                findings += find(connection, checks)
            except _DAMAGE as error:
                findings.append(_damaged(error))
        wanted = {run.run_id for run in chosen} if runs is not None else None
        found, said = _anchors(connection, anchored, wanted)
        findings += found
        notes += said
    if any(report.signed for report in reports) and key is None:
        notes.append("signatures were not checked: give the public key (--key)")
    return Report(reports, findings, notes)


class RunCheckSafely:
    """One run's check that a damaged database can't stop."""

    def __init__(self, connection: Connection, run: RunKey, key: VerifierKey | None) -> None:
        self.run = run
        self.report = RunReport(run.run_id)
        self.previous: Sequence[Any] = ()
        self.schema_hash = ""
        try:
            check = RunCheck(connection, run, key)
            self.report = check.report
            check.check()
            self.previous, self.schema_hash = check.previous, check.schema_hash
        except _DAMAGE as error:
            self.report.found("database", "", "damaged", f"can't be read on: {_cause(error)}")


def _damaged(error: BaseException) -> Finding:
    return Finding("database", "", "damaged", f"can't be read: {_cause(error)}")


def _cause(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


def _integrity(connection: Connection) -> list[Finding]:
    if connection.dialect.name != "sqlite":
        return []
    rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").fetchall()
    return [Finding("database", "", "damaged", str(row[0])) for row in rows if row[0] != "ok"]


def _all_runs(connection: Connection) -> list[RunKey]:
    rows = connection.exec_driver_sql("SELECT run_no, run_id FROM runs ORDER BY run_no")
    return [RunKey(row[0], str(row[1])) for row in rows]


def _no_findings(_connection: Connection, _checks: Sequence[RunCheckSafely]) -> list[Finding]:
    return []


def _chains(connection: Connection, checks: Sequence[RunCheckSafely]) -> list[Finding]:
    """Each run names the head of the run before it: that must be on record."""
    found = []
    sql = placed(
        connection,
        """SELECT h.root FROM tree_heads h JOIN runs r ON r.run_no = h.run_no
        WHERE r.run_id = ? AND h.head_no = ? AND h.tree_size = ?""",
    )
    for check in checks:
        if len(check.previous) != 4:
            continue
        run_id, head_no, size, root = check.previous
        row = connection.exec_driver_sql(sql, (run_id, head_no, size)).one_or_none()
        if row is None or bytes(row[0]).hex() != root:
            why = f"run {check.run.run_id} was chained to this head, it is not on record as it was"
            found.append(Finding("tree_heads", f"run {run_id} head_no={head_no}", "removed", why, run_id))
    return found


def _schemas(connection: Connection, checks: Sequence[RunCheckSafely]) -> list[Finding]:
    """The schema is that of the newest run, and was the same for all runs of one version."""
    rows = connection.exec_driver_sql("SELECT schema_hash, ddl FROM tree_schemas").fetchall()
    known = {row[0]: row[1] for row in rows}
    used = [(check.run.run_id, check.schema_hash) for check in checks if check.schema_hash]
    found = []
    for name, text in known.items():
        if not isinstance(text, str) or ddl_hash(text) != name:
            found.append(
                Finding("tree_schemas", f"schema_hash={name}", "changed", "the text has another hash")
            )
        elif name not in {schema for _, schema in used}:
            found.append(Finding("tree_schemas", f"schema_hash={name}", "added", "no run began with it"))
    for run_id, name in used:
        if name not in known:
            found.append(
                Finding("tree_schemas", f"schema_hash={name}", "removed", "it is this run's leaf 0", run_id)
            )
    texts = [(run_id, known[name]) for run_id, name in used if isinstance(known.get(name), str)]
    for (before, old), (after, new) in zip(texts, [*texts[1:], ("now", read_ddl(connection))], strict=False):
        since = f"since run {before} began" if after == "now" else f"between run {before} and run {after}"
        changed = differences(old, new)
        if after == "now" or ("version", "changed") not in changed:  # else it was upgraded
            found += [Finding("schema", name, what, since) for name, what in changed]
    return found


def _strays(connection: Connection, checks: Sequence[RunCheckSafely]) -> list[Finding]:
    """Records that name a run that is not there."""
    numbers = {check.run.run_no for check in checks}
    ids = {check.run.run_id for check in checks}
    found = []
    for table in metadata.tables.values():
        column = next((name for name in ("run_no", "run_id") if name in table.columns), None)
        if column is None or table.name == "runs":
            continue
        known: set[Any] = numbers if column == "run_no" else ids
        for value in _distinct(connection, table.name, column):
            if value not in known:
                why = "it belongs to no run on record"
                found.append(Finding(table.name, key_text([column], [value]), "added", why))
    return found


def _distinct(connection: Connection, table: str, column: str) -> Iterator[Any]:
    """The values of a column that leads an index, each found by one look-up."""
    value = connection.exec_driver_sql(f"SELECT min({column}) FROM {table}").scalar()
    sql = placed(connection, f"SELECT min({column}) FROM {table} WHERE {column} > ?")
    while value is not None:
        yield value
        value = connection.exec_driver_sql(sql, (value,)).scalar()


def _anchors(
    connection: Connection, anchored: Iterable[Checkpoint], wanted: set[str] | None
) -> tuple[list[Finding], list[str]]:
    """Every anchored head must be on record; heads behind the last one are not anchored."""
    found: list[Finding] = []
    last: dict[str, int] = {}
    sql = placed(
        connection,
        """SELECT h.root FROM tree_heads h JOIN runs r ON r.run_no = h.run_no
        WHERE r.run_id = ? AND h.tree_size = ?""",
    )
    for head in anchored:
        run_id = head.run_id
        if wanted is not None and run_id not in wanted:
            continue
        last[run_id] = max(head.size, last.get(run_id, 0))
        roots = [bytes(row[0]) for row in connection.exec_driver_sql(sql, (run_id, head.size))]
        if head.root not in roots:
            why = "this head was anchored, and is not on record as it was"
            found.append(Finding("tree_heads", f"run {run_id} tree_size={head.size}", "removed", why, run_id))
    notes = []
    sql = placed(
        connection,
        """SELECT count(*) FROM tree_heads h JOIN runs r ON r.run_no = h.run_no
        WHERE r.run_id = ? AND h.tree_size > ?""",
    )
    for run_id, size in last.items():
        later = connection.exec_driver_sql(sql, (run_id, size)).scalar()
        if later:
            notes.append(f"run {run_id}: {later} heads behind the last anchored one")
    return found, notes
