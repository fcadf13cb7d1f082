"""``elspeth run``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.contracts.errors import UsageError

WITH_FAILURES = 1

app = command_app()

EXAMPLES = """
    elspeth run pipeline.yaml
    elspeth run pipeline.yaml --dry-run
    elspeth run -s pipeline.yaml --json > summary.json
    elspeth run pipeline.yaml --database postgresql://me@db/audit
    """


@app.command(epilog=examples(EXAMPLES))
def run(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The pipeline file.", show_default=False)
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", "-s", metavar="FILE", help="The same, as an option.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be done, and what would be replaced; write nothing."),
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Take real rows through a pipeline, with everything on record.

    Ctrl-C (or SIGTERM) ends a run cleanly: what was read is committed, no output file is published,
    and the exit code is 130. Exit code 1 means that the run is complete, but rows failed or were
    quarantined.
    """
    if (file is None) == (settings is None):
        raise UsageError("name one pipeline file", fix="elspeth run FILE, or elspeth run --settings FILE")
    path = file or settings
    return _plan(path, as_json=as_json) if dry_run else _run(path, database, as_json=as_json)


def _plan(path: Any, *, as_json: bool) -> int:
    from elspeth.cli.commands.validate import show_plan  # noqa: PLC0415

    return show_plan(path, details=True, as_json=as_json)


def _run(path: Any, database: str | None, *, as_json: bool) -> int:
    from elspeth.api.run import run as run_pipeline  # noqa: PLC0415
    from elspeth.cli.progress import ProgressLine  # noqa: PLC0415
    from elspeth.cli.stopping import stop_on_signals  # noqa: PLC0415

    with stop_on_signals() as stop:
        line = ProgressLine(stopping=stop)
        try:
            result = run_pipeline(path, database=database, watch=line.show, stop=stop)
        finally:
            line.finish()
    if as_json:
        from elspeth.cli.output import emit_json  # noqa: PLC0415

        emit_json(result.to_dict())
    else:
        _summarise(result, database)
    return WITH_FAILURES if result.status == "completed_with_failures" else 0


def _summarise(result: Any, database: str | None) -> None:
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.output import note  # noqa: PLC0415
    from elspeth.cli.run_tables import run_summary  # noqa: PLC0415

    show(run_summary(result))
    where = f" --database {database}" if database else ""
    if result.rows.read:
        note(f"\nnext: elspeth explain latest --row 0{where}")
    else:
        note(f"\nno rows were read; see: elspeth runs show {result.run_id}{where}")
