"""``elspeth resume``."""

from functools import partial
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, Database, RunId, command_app, examples

app = command_app()

EXAMPLES = """
    elspeth resume
    elspeth resume 20261121T021530Z-k7f3q2
    elspeth resume latest --accept-changes
    """


@app.command(epilog=examples(EXAMPLES))
def resume(
    run: RunId = "latest",
    database: Database = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="Go on although settings, plugins or inputs have changed; what changed goes on record.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Go on with an interrupted, failed or killed run, from its last commit.

    The outputs are the same, byte for byte, as if the run had never stopped. A run that another
    process is at work on is refused.
    """
    from elspeth.api.database import default_database_url  # noqa: PLC0415
    from elspeth.api.resume import resume as go_on  # noqa: PLC0415
    from elspeth.cli.running import carry_out  # noqa: PLC0415

    url = database or default_database_url()
    return carry_out(partial(go_on, run, database=url, accept_changes=accept_changes), url, as_json=as_json)
