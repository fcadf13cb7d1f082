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
    elspeth export latest --format openlineage -o https://lineage.example/api/v1/lineage
    """


@app.command(epilog=examples(EXAMPLES))
def export(
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
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Write a run's record to files that need no database to be read.

    jsonl, json, csv and parquet hold every record type, one file each, with a manifest of counts and
    SHA-256 hashes; prov is W3C PROV-JSON of the run or of one row; openlineage are run events with
    schemas and column lineage, for a file or an HTTP endpoint.
    """
    from elspeth.api.export import export as write_export  # noqa: PLC0415

    made = write_export(run, output, format=format, row=row, database=database)
    if as_json:
        emit_json(made.to_dict())
        return 0
    total = sum(made.records.values())
    say(f"run {made.run_id}: {total:,} records as {made.format} in {made.target}")
    if made.manifest:
        say(f"manifest: {made.manifest}")
    return 0
