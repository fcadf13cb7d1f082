"""``elspeth export``."""

from typing import Annotated

import typer

from elspeth.cli.options import AsJson, Database, RunId, command_app, examples
from elspeth.cli.output import emit_json, say

app = command_app()

EXAMPLES = """
    elspeth export latest -o audit/
    elspeth export latest --format parquet -o audit/
    elspeth export latest --format prov --row 17 -o row17.prov.json
    elspeth export latest -o audit/ --key elspeth-signing.key
    elspeth export --check audit/ --key elspeth-signing.pub
    elspeth export latest --format openlineage -o https://lineage.example/api/v1/lineage
    """


@app.command(epilog=examples(EXAMPLES))
def export(  # noqa: PLR0913  # one parameter per option
    run: RunId = "latest",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="TARGET",
            help="The directory, file or endpoint to write to.  [default: named after the run]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="jsonl, json, csv, parquet, prov or openlineage."),
    ] = "jsonl",
    row: Annotated[
        str | None,
        typer.Option(
            "--row",
            metavar="N",
            help="One row, by index or row id (with `--format prov`).",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="EXPORT",
            help="Write nothing: hold an export's files against its manifest.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="The private key to sign with; with --check: the public key that must have signed.",
            show_default=False,
        ),
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Write a run's record to files that need no database to be read.

    jsonl, json, csv and parquet hold every record type, one file each, with a manifest of counts and
    SHA-256 hashes; prov is W3C PROV-JSON of the run or of one row; openlineage are run events with
    schemas and column lineage, for a file or an HTTP endpoint.
    """
    if check is not None:
        return _check(check, key, as_json=as_json)
    from elspeth.api.export import export as write_export  # noqa: PLC0415

    made = write_export(run, output, format=format, row=row, database=database, signing_key=key)
    if as_json:
        emit_json(made.to_dict())
        return 0
    total = sum(made.records.values())
    say(f"run {made.run_id}: {total:,} records as {made.format} in {made.target}")
    if made.manifest:
        say(f"manifest: {made.manifest}")
    return 0


def _check(target: str, key: str | None, *, as_json: bool) -> int:
    from elspeth.api.export import check_export  # noqa: PLC0415

    found = check_export(target, key)
    if as_json:
        emit_json(
            {
                "run_id": found.run_id,
                "files": found.files,
                "problems": list(found.problems),
                "signed_by": found.signed_by,
            }
        )
    else:
        for problem in found.problems:
            say(f"✗ {problem}")
        if not found.problems:
            by = f", signed by {found.signed_by}" if found.signed_by else ""
            say(f"✓ run {found.run_id}: {found.files} files as they were exported{by}")
    return 1 if found.problems else 0
