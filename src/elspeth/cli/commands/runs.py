"""``elspeth runs``: the list, and ``show``."""

from typing import Annotated

import typer

from elspeth.cli.options import AsJson, Database, RunId, command_app, examples
from elspeth.cli.output import emit_json, say

app = command_app(examples("elspeth runs\nelspeth runs --limit 100 --json\nelspeth runs show latest"))


@app.callback(invoke_without_command=True)
def runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The newest so many.")] = 20,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """List the runs on record, or show how one of them went.

    Without a further word: the newest runs, newest first.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = (database, as_json)
        return 0
    from elspeth.api.runs import ABANDONED, list_runs  # noqa: PLC0415

    found = list_runs(database, limit=limit)
    if as_json:
        from elspeth.api.runs import run_dict  # noqa: PLC0415

        emit_json({"runs": [run_dict(run) for run in found]})
        return 0
    from elspeth.cli.consoles import show as print_it  # noqa: PLC0415
    from elspeth.cli.run_tables import runs_table  # noqa: PLC0415
    from elspeth.core.landscape.runs import OPERATION  # noqa: PLC0415

    print_it(runs_table(found))
    gone = [run.run_id for run in found if run.status == ABANDONED and run.run_mode != OPERATION]
    if gone:
        say(f"nobody works on {' and '.join(gone)} any more; to go on: elspeth resume {gone[0]}")
    return 0


@app.command(epilog=examples("elspeth runs show latest\nelspeth runs show latest --calls --json"))
def show(
    ctx: typer.Context,
    run: RunId = "latest",
    calls: Annotated[
        bool, typer.Option("--calls", help="External calls too: totals, slowest, dearest, failed.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Show how one run went: status, counts, sinks with their hashes, nodes with their timings, errors."""
    from elspeth.api.runs import show_run  # noqa: PLC0415

    before = ctx.obj or (None, False)
    summary = show_run(run, database or before[0])
    made = None
    if calls:
        from elspeth.api.run_calls import calls_of  # noqa: PLC0415

        made = calls_of(summary.run.run_id, database or before[0])
    if as_json or before[1]:
        emit_json(summary.to_dict() | ({} if made is None else {"calls": made.to_dict()}))
        return 0
    from elspeth.cli.consoles import show as print_it  # noqa: PLC0415
    from elspeth.cli.run_tables import run_details  # noqa: PLC0415

    print_it(run_details(summary))
    if made is not None:
        from elspeth.cli.call_tables import call_details  # noqa: PLC0415

        print_it(call_details(made))
    return 0
