"""``elspeth plugin``: ``new``."""

from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json, note, say

NEW = "elspeth plugin new postcode\nelspeth plugin new crm --kind source --directory plugins"

app = command_app(examples(NEW))


@app.callback()
def plugin() -> None:
    """Make a plugin package of your own."""


@app.command(epilog=examples(NEW))
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called in pipeline files.")],
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="transform, source or sink.")
    ] = "transform",
    directory: Annotated[
        Path, typer.Option("--directory", metavar="DIR", help="Where to put the package.")
    ] = Path(),
    as_json: AsJson = False,
) -> int:
    """Make a package with a plugin of about 20 lines and a contract test that passes."""
    from elspeth.api.plugins import new_plugin  # noqa: PLC0415

    files = new_plugin(name, directory, kind)
    package = files[0].parent
    commands = [f"pip install -e {package}", f"pytest {package}", f"elspeth plugins inspect {kind} {name}"]
    if as_json:
        emit_json({"files": [str(file) for file in files], "commands": commands})
        return 0
    for file in files:
        say(f"made {file}")
    note("\nnext:\n" + "\n".join(f"  {line}" for line in commands))
    return 0
