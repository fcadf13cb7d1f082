"""``elspeth init``."""

from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json, note, say

app = command_app()


@app.command(epilog=examples("elspeth init demo\nelspeth init ."))
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to put it; made if it is not there.")
    ],
    as_json: AsJson = False,
) -> int:
    """Make a small working pipeline to start from.

    Writes pipeline.yaml, its data, a JSON Schema for your editor and a .gitignore. Nothing that is
    there is overwritten.
    """
    from elspeth.api.init import init as start  # noqa: PLC0415

    made = start(directory)
    if as_json:
        emit_json(
            {
                "directory": str(made.directory),
                "files": [str(file) for file in made.files],
                "commands": list(made.commands),
            }
        )
        return 0
    for file in made.files:
        say(f"made {file}")
    note("\nnext:\n" + "\n".join(f"  {line}" for line in made.commands))
    return 0
