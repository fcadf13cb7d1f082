"""``elspeth verify``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from elspeth.cli.completion import complete_runs
from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.cli.output import emit_json, note, say

app = command_app()

EXAMPLES = """
    elspeth verify
    elspeth verify latest --key elspeth-signing.pub
    elspeth verify --all --anchor heads.jsonl --json
    elspeth verify proof.txt --key elspeth-signing.pub
    """
SHOWN = 50


@app.command(epilog=examples(EXAMPLES))
def verify(  # noqa: PLR0913  # one parameter per option
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|PROOF]",
            help="A run id, `latest`, or a proof file.  [default: the whole database]",
            autocompletion=complete_runs,
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole database, which is the default too.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="The public key that must have signed: a file, or its text.",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor",
            metavar="PLACE",
            help="Anchored heads that must be found here: a file, or a container's URL.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="ID", help="The run that a proof must be of.", show_default=False),
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Check that the audit trail is what it was when it was written.

    Every record that was changed, added or removed since is named. A proof file is checked by itself,
    without any database. Exit code 0: all is as it was; 1: it is not; 2: it can't be checked.
    """
    from elspeth.contracts.errors import UsageError  # noqa: PLC0415

    if what is not None and everything:
        raise UsageError("--all is the whole database, not one run or proof", fix="leave one of them out")
    if what is not None and _is_file(what):
        return _verify_proof(what, key, anchor, run, as_json=as_json)
    if run is not None:
        raise UsageError("--run says of which run a proof must be", fix=f"elspeth verify {run}")
    from elspeth.api.verify import report_dict  # noqa: PLC0415
    from elspeth.api.verify import verify as verify_record  # noqa: PLC0415

    report = verify_record(what, database=database, key=key, anchor=anchor)
    if as_json:
        emit_json(report_dict(report))
    else:
        _tell(report)
    return 0 if report.ok else 1


def _is_file(what: str) -> bool:
    return Path(what).is_file() or "/" in what or what.endswith((".txt", ".tlog-proof"))


def _verify_proof(what: str, key: str | None, anchor: str | None, run: str | None, *, as_json: bool) -> int:
    from elspeth.api.verify import proof_dict, verify_proof  # noqa: PLC0415

    report = verify_proof(what, key=key, anchor=anchor, run=run)
    if as_json:
        emit_json(proof_dict(report))
        return 0 if report.ok else 1
    head = report.proof.head
    for problem in report.problems:
        say(f"✗ {problem}")
    if report.ok:
        count = len(report.proof.records)
        say(f"✓ {count} records of run {report.run_id}, under a head of {head.size:,} leaves")
        for record in report.proof.records:
            say(f"  {record.kind} at leaf {record.index}")
    if report.signed_by:
        say(f"✓ the head is signed by {report.signed_by}")
    for line in report.notes:
        note(f"note: {line}")
    if report.ok:
        note("the records themselves: --json")
    return 0 if report.ok else 1


def _tell(report: Any) -> None:
    for run in report.runs:
        mark = "✓" if run.ok else "✗"
        signed = f", {run.signed} signed" if run.signed else ""
        size = f"{run.tokens:,} tokens, {run.leaves:,} leaves, {run.heads} heads"
        say(f"{mark} run {run.run_id}: {size}{signed}")
        for line in run.notes:
            note(f"  note: {line}")
    findings = report.all_findings()
    for finding in findings[:SHOWN]:
        where = f" (run {finding.run_id})" if finding.run_id else ""
        say(f"✗ {finding.what}: {finding.table} {finding.key}{where}: {finding.why}")
    rest = len(findings) - SHOWN + sum(run.more for run in report.runs)
    if rest > 0:
        note(f"and {rest} more: --json has the first 1,000 of each run")
    for line in report.notes:
        note(f"note: {line}")
    if report.ok:
        say("nothing was changed" if report.runs else "there is no run on record")
