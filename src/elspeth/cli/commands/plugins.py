"""``elspeth plugins``: ``list`` and ``inspect``."""

from dataclasses import asdict
from typing import Annotated

import typer

from elspeth.cli.completion import complete_kinds, complete_plugins
from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json

LIST = "elspeth plugins list\nelspeth plugins list transform --json"
INSPECT = "elspeth plugins inspect source csv\nelspeth plugins inspect transform field_mapper --json"

app = command_app(examples(f"elspeth plugins\n{LIST}\n{INSPECT}"))


@app.callback(invoke_without_command=True)
def plugins(ctx: typer.Context, as_json: AsJson = False) -> int:
    """List the installed plugins, or show one's options.

    Without a further word: the list.
    """
    ctx.obj = as_json
    return _list(None, as_json=as_json) if ctx.invoked_subcommand is None else 0


@app.command("list", epilog=examples(LIST))
def list_(
    ctx: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="source, transform or sink.",
            autocompletion=complete_kinds,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the installed plugins, each with what it does."""
    return _list(kind, as_json=as_json or bool(ctx.obj))


@app.command(epilog=examples(INSPECT))
def inspect(
    ctx: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="source, transform or sink.", autocompletion=complete_kinds)
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The plugin's name.", autocompletion=complete_plugins)
    ],
    as_json: AsJson = False,
) -> int:
    """Show one plugin: what it does, its version, what it promises, and every option."""
    from elspeth.api.plugins import inspect_plugin  # noqa: PLC0415

    found = inspect_plugin(kind, name)
    if as_json or ctx.obj:
        emit_json(asdict(found))
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.plugin_tables import plugin_details  # noqa: PLC0415

    show(plugin_details(found))
    return 0


def _list(kind: str | None, *, as_json: bool) -> int:
    from elspeth.api.plugins import list_plugins  # noqa: PLC0415

    found = list_plugins(kind)
    if as_json:
        emit_json({"plugins": [asdict(plugin) for plugin in found]})
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.plugin_tables import plugin_list  # noqa: PLC0415

    show(plugin_list(found))
    return 0
