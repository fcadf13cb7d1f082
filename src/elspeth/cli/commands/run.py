"""``elspeth run``."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from elspeth.cli.errors import report
from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json, note
from elspeth.contracts.errors import RunInterruptedError, UsageError

if TYPE_CHECKING:
    from elspeth.engine.result import RunResult

WITH_FAILURES = 1
IN_MEMORY = "sqlite://"

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
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="URL",
            help="Keep the record here, and not where the file's `landscape.url` says.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take real rows through a pipeline, with everything on record.

    Ctrl-C (or SIGTERM) ends a run cleanly: what was read is committed, no output file is published,
    and the exit code is 130. Exit code 1 means that the run is complete, but rows failed or were
    quarantined.
    """
    if (file is None) == (settings is None):
        raise UsageError("name one pipeline file", fix="elspeth run FILE, or elspeth run --settings FILE")
    path = file or settings or Path()
    if dry_run:
        from elspeth.cli.commands.validate import show_plan  # noqa: PLC0415

        return show_plan(path, database, details=True, as_json=as_json)
    return _run(path, database, as_json=as_json)


def _run(path: Path, database: str | None, *, as_json: bool) -> int:
    from elspeth.api.assemble import assemble  # noqa: PLC0415
    from elspeth.api.run import run_assembled  # noqa: PLC0415
    from elspeth.cli.progress import ProgressLine  # noqa: PLC0415
    from elspeth.cli.stopping import stop_on_signals  # noqa: PLC0415

    assembled = assemble(path, database=database)
    where = _where(assembled.landscape_url)
    try:
        with stop_on_signals() as stop, ProgressLine(stopping=stop) as line:
            result = run_assembled(assembled, watch=line.show, stop=stop)
    except RunInterruptedError as error:
        code = report(error, as_json=as_json)
        if where is not None:
            note(f"  see: elspeth runs show {error.run_id}{where}")
        return code
    if as_json:
        emit_json(result.to_dict())
    else:
        _summarise(result, where)
    return WITH_FAILURES if result.status == "completed_with_failures" else 0


def _where(url: str) -> str | None:
    """The option by which other commands find this run's landscape, if they need one; None: none is kept."""
    from elspeth.api.database import default_database_url  # noqa: PLC0415
    from elspeth.core.secrets import Redactor  # noqa: PLC0415

    if url == IN_MEMORY:
        return None
    return "" if url == default_database_url() else f" --database {quote(Redactor(None).text(url))}"


def _summarise(result: "RunResult", where: str | None) -> None:
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.run_tables import run_summary  # noqa: PLC0415

    show(run_summary(result))
    if where is None:
        note("\nnothing was kept on record: the pipeline file says landscape.enabled: false")
    elif result.rows.read:
        note(f"\nnext: elspeth explain latest --row 0{where}")
    else:
        note(f"\nno rows were read; see: elspeth runs show latest{where}")
