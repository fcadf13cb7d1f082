"""``elspeth purge``."""

from typing import TYPE_CHECKING, Annotated

import typer

from elspeth.cli.completion import complete_runs
from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.cli.output import emit_json, note, say

if TYPE_CHECKING:
    from elspeth.api.purge import PurgeResult

app = command_app()

EXAMPLES = """
    elspeth purge --older-than 90d --dry-run
    elspeth purge --older-than 90d --vacuum
    elspeth purge --run 20261121T021530Z-k7f3q2
    elspeth purge
    """


@app.command(epilog=examples(EXAMPLES))
def purge(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Runs that ended so long ago: 12h, 90d, 6w, 7y.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Only this run, by id or `latest`.",
            show_default=False,
            autocompletion=complete_runs,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Then give the space back, and erase what is left in free pages.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Take the contents of old runs' rows and calls away; hashes and everything else stay.

    Without an age or a run, each run goes by the `payload_store.retention_days` of its own pipeline
    file. A running run is never purged. What is gone is gone: there is no undo.
    """
    from elspeth.api.purge import purge as take_away  # noqa: PLC0415

    made = take_away(run, older_than=older_than, dry_run=dry_run, vacuum=vacuum, database=database)
    if as_json:
        emit_json(made.to_dict())
    else:
        _tell(made)
    return 0


def _tell(made: "PurgeResult") -> None:
    from elspeth.cli.text import quantity, size  # noqa: PLC0415

    word = "would be purged" if made.dry_run else "purged"
    for run in made.runs:
        parts = [quantity(run.traces, "token"), quantity(run.calls, "call")]
        say(
            f"run {run.run_id}: {word}: contents of {' and '.join(parts)}, {size(run.database_bytes)} in the"
            f" database, {quantity(run.segments, 'segment')} of {size(run.segment_bytes)}"
        )
    for run_id, why in made.kept:
        say(f"run {run_id}: kept: {why}")
    if not made.runs:
        say("nothing to purge")
    if made.file_bytes_freed is not None:
        freed = made.file_bytes_freed
        say(f"the database file is {size(abs(freed))} {'smaller' if freed >= 0 else 'larger'} than before")
    elif made.runs and not (made.dry_run or made.vacuumed):
        note("\nthe database keeps the space for new rows, and erases it only with: elspeth purge --vacuum")
