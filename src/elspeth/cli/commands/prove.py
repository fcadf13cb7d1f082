"""``elspeth prove``."""

from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, Database, RunId, command_app, examples
from elspeth.cli.output import emit_json, note, say

app = command_app()

EXAMPLES = """
    elspeth prove latest --row 76 -o proof.txt
    elspeth prove 20261121T021530Z-k3f9ab --row 76 -o proof.txt --json
    """


@app.command(epilog=examples(EXAMPLES))
def prove(
    run: RunId = "latest",
    row: Annotated[
        str,
        typer.Option("--row", metavar="N", help="The row's index, counted from 0, or its row id."),
    ] = "0",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Where to write the proof.  [default: stdout]",
            show_default=False,
        ),
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Write the proof of one row: its records, and the way from each to a signed tree head.

    Whoever has the file and the public key can check it with `elspeth verify FILE --key KEY`,
    without the database. The file holds the row's contents.
    """
    from elspeth.api.prove import prove as prove_row  # noqa: PLC0415

    proven = prove_row(run, row=row, out=out, database=database)
    head = proven.proof.head
    if as_json:
        emit_json(
            {
                "run_id": proven.run_id,
                "row": proven.row,
                "path": None if out is None else str(out),
                "records": [{"kind": record.kind, "leaf": record.index} for record in proven.proof.records],
                "head": {"size": head.size, "root": head.root.hex(), "signed": bool(head.signatures)},
                "proof": proven.text,
            }
        )
        return 0
    if out is None:
        say(proven.text.removesuffix("\n"))
        return 0
    kinds = [record.kind for record in proven.proof.records]
    listed = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    say(f"wrote {out}: row {proven.row} of run {proven.run_id}")
    say(f"  {listed}, under a head of {head.size:,} leaves")
    if not head.signatures:
        note("the head is not signed: see `elspeth keys new`, or check the proof against an anchor file")
    return 0
