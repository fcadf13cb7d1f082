"""``elspeth validate``."""

from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json

app = command_app()

EXAMPLES = """
    elspeth validate pipeline.yaml
    elspeth validate pipeline.yaml --json
    """


@app.command(epilog=examples(EXAMPLES))
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The pipeline file.")],
    as_json: AsJson = False,
) -> int:
    """Check a pipeline file, and say everything that is wrong with it.

    Nothing is run and nothing is written; the head of each input is read to see what its columns
    hold. Every problem comes with file, line and column, and with a way out.
    """
    return show_plan(file, None, details=False, as_json=as_json)


def show_plan(file: Path, database: str | None, *, details: bool, as_json: bool) -> int:
    """Validate and print: the verdict, or with ``details`` the whole plan."""
    from elspeth.api.before import prepare  # noqa: PLC0415
    from elspeth.api.validate import plan_of  # noqa: PLC0415

    plan = plan_of(prepare(file, database=database).assembled)
    if as_json:
        emit_json(plan.to_dict())
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.plan_tables import plan_details, verdict  # noqa: PLC0415

    show(plan_details(plan) if details else verdict(plan))
    return 0
