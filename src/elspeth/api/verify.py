"""``verify``: is the audit trail what it was when it was written?"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elspeth.api.anchors import anchored as anchored_in
from elspeth.api.database import default_database_url
from elspeth.api.keys import public_key
from elspeth.contracts.errors import LandscapeError, NotFoundError, UsageError
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.findings import Finding, Report, RunReport
from elspeth.core.landscape.ledger.proofs import (
    ProofReport,
    ProofUnreadableError,
    check_proof,
    parse_proof,
)
from elspeth.core.landscape.ledger.records import RunKey
from elspeth.core.landscape.ledger.verify import verify as verify_landscape
from elspeth.core.landscape.reader import LandscapeReader
from elspeth.core.landscape.tables import metadata

__all__ = [
    "Finding", "ProofReport", "Report", "RunReport", "proof_dict", "report_dict", "verify", "verify_proof",
]  # fmt: skip


def verify(
    run: str | None = None,
    *,
    database: str | None = None,
    key: str | None = None,
    anchor: str | os.PathLike[str] | None = None,
) -> Report:
    """Check every record of a run, or (None) of the whole database, against its tree heads.

    ``key``: a public key (a file, or its text) that must have signed every head. ``anchor``: a file
    or container (URL) of anchored heads that must be found. What is wrong is in the report, not raised.
    Raises NotFoundError for an unknown run or landscape, UsageError for a key or a file that can't be used.
    """
    verifier = None if key is None else public_key(key)
    anchored = [] if anchor is None else anchored_in(os.fspath(anchor))
    url = database or default_database_url()
    try:
        db = LandscapeDB.from_url(url, create=False)
    except LandscapeError as error:
        if not url.startswith("sqlite"):
            raise  # a server that can't be reached proves nothing
        return Report([], [Finding("database", "", "damaged", error.what)])
    try:
        runs = None
        if run is not None:
            found = LandscapeReader(db).run(run)
            runs = [RunKey(found.run_no, found.run_id)]
        with db.engine.connect() as connection:
            return verify_landscape(connection, runs, verifier, anchored)
    finally:
        db.close()


def verify_proof(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    anchor: str | os.PathLike[str] | None = None,
    run: str | None = None,
) -> ProofReport:
    """Check a proof file; no database is needed. ``run``: the run that it must be of.

    Raises NotFoundError if there is no such file, ProofUnreadableError (a UsageError) for a file
    that holds no proof or not the whole of one.
    """
    verifier = None if key is None else public_key(key)
    anchored = None if anchor is None else anchored_in(os.fspath(anchor))
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no proof at {path}") from error
    except UnicodeDecodeError as error:
        raise ProofUnreadableError(f"{path} is no proof: it is not text") from error
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    report = check_proof(parse_proof(text), verifier, anchored)
    if run is not None and report.run_id != run:
        problem = f"it is of run {report.run_id}, not of run {run}"
        return ProofReport(
            report.proof, report.run_id, report.signed_by, (*report.problems, problem), report.notes
        )
    return report


def report_dict(report: Report) -> dict[str, Any]:
    """A verification as plain JSON values: the shape of ``elspeth verify --json``."""
    return {
        "ok": report.ok,
        "runs": [
            {
                "run_id": run.run_id,
                "ok": run.ok,
                "status": run.status,
                "heads": run.heads,
                "signed_heads": run.signed,
                "leaves": run.leaves,
                "tokens": run.tokens,
                "root": run.root,
                "findings": [_finding(finding) for finding in run.findings],
                "more_findings": run.more,
                "notes": run.notes,
            }
            for run in report.runs
        ],
        "findings": [_finding(finding) for finding in report.findings],
        "notes": list(report.notes),
    }


def proof_dict(report: ProofReport) -> dict[str, Any]:
    """What a proof proves as plain JSON values: the shape of ``elspeth verify proof.txt --json``."""
    head = report.proof.head
    return {
        "ok": report.ok,
        "run_id": report.run_id,
        "signed_by": report.signed_by,
        "head": {"origin": head.origin, "size": head.size, "root": head.root.hex()},
        "problems": list(report.problems),
        "notes": list(report.notes),
        "records": [
            {"kind": record.kind, "leaf": record.index, **_columns(record.kind, record.values)}
            for record in report.proof.records
        ],
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "run_id": finding.run_id,
        "table": finding.table,
        "key": finding.key,
        "what": finding.what,
        "why": finding.why,
    }


_TABLES = {
    "run": "runs", "trace": "traces", "path": "paths", "error": "trace_errors", "join": "trace_joins",
    "batch_token": "batch_tokens", "call": "calls", "assignment": "assignments",
    "variant": "experiment_variants",
}  # fmt: skip


def _columns(kind: str, values: Sequence[Any]) -> dict[str, Any]:
    """A record's values by their columns; a path has its steps and events behind its own."""
    table = metadata.tables.get(_TABLES.get(kind, ""))
    if table is None:
        return {"values": [_plain(value) for value in values]}
    names = [column.name for column in table.columns]
    own = {name: _plain(value) for name, value in zip(names, values, strict=False)}
    rest = [_plain(value) for value in values[len(names) :]]
    return own | ({"steps_and_events": rest} if rest else {})


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
