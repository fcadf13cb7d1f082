"""``elspeth run``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.contracts.errors import UsageError

app = command_app()

EXAMPLES = """
    elspeth run pipeline.yaml
    elspeth run pipeline.yaml --dry-run
    elspeth run -s pipeline.yaml --json > summary.json
    elspeth run pipeline.yaml --database postgresql://me@db/audit
    elspeth run pipeline.yaml --mode replay --from latest
    """


@app.command(epilog=examples(EXAMPLES))
def run(  # noqa: PLR0913  # options, each called by its name
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
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="`live`, `replay` (external calls are answered from an earlier run's record) or `verify`"
            " (they are made, and compared with it).",
            show_default=False,
        ),
    ] = None,
    earlier: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="The earlier run, or `latest`.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take real rows through a pipeline, with everything on record.

    Ctrl-C (or SIGTERM) ends a run cleanly: what was read is committed, no output file is published,
    the exit code is 130, and `elspeth resume` goes on from there. Exit code 1 means that the run is
    complete, but rows failed or were quarantined.
    """
    if (file is None) == (settings is None):
        raise UsageError("name one pipeline file", fix="elspeth run FILE, or elspeth run --settings FILE")
    path = file or settings or Path()
    if dry_run:
        from elspeth.cli.commands.validate import show_plan  # noqa: PLC0415

        return show_plan(path, database, details=True, as_json=as_json)
    overrides = {"run_mode": mode, "replay_from": earlier}
    given = {key: value for key, value in overrides.items() if value is not None}
    return _run(path, database, given, as_json=as_json)


def _run(path: Path, database: str | None, overrides: dict[str, str], *, as_json: bool) -> int:
    from elspeth.api.before import prepare  # noqa: PLC0415
    from elspeth.api.run import run_prepared  # noqa: PLC0415
    from elspeth.cli.running import carry_out  # noqa: PLC0415

    prepared = prepare(path, database=database, overrides=overrides)
    work = partial(run_prepared, prepared)
    return carry_out(work, prepared.assembled.landscape_url, as_json=as_json)
