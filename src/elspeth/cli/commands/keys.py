"""``elspeth keys``: ``new``."""

from pathlib import Path
from typing import Annotated

import typer

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json, note, say

NEW = "elspeth keys new\nelspeth keys new --out /etc/elspeth --name audit.example.com"

app = command_app(examples(NEW))


@app.callback()
def keys() -> None:
    """Make a key pair that signs the heads of the audit trail."""


@app.command(epilog=examples(NEW))
def new(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to put the two files.")] = Path(),
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Who signs, without spaces.  [default: elspeth/ and this host's name]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make an Ed25519 key pair: the private file signs, the public one checks.

    Keep the private file where only the runs can read it, and give the public one to whoever will
    check. A key that is there already is never written over.
    """
    from elspeth.api.keys import KEY_VARIABLE, new_key  # noqa: PLC0415

    made = new_key(out, name)
    if as_json:
        emit_json({"private": str(made.private), "public": str(made.public), "key": made.verifier})
        return 0
    say(f"made {made.private} (keep it secret)")
    say(f"made {made.public}")
    say(made.verifier)
    note(f"\nnext:\n  landscape: {{signing_key: {made.private}}}    in the pipeline file, or")
    note(f"  export {KEY_VARIABLE}={made.private}")
    return 0
