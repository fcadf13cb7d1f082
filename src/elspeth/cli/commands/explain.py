"""``elspeth explain``."""

from typing import Annotated, Any

import typer

from elspeth.cli.options import AsJson, Database, RunId, command_app, examples
from elspeth.cli.output import emit_json, note

app = command_app()

EXAMPLES = """
    elspeth explain latest --row 0
    elspeth explain --where "row['customer_id'] == 'C-17'"
    elspeth explain --sink review --limit 3
    elspeth explain --token 20261121T021530Z-3f9a1c-15-2
    elspeth explain latest --row 0 --json
    elspeth explain --resource workers-003
    """


@app.command(epilog=examples(EXAMPLES))
def explain(  # noqa: PLR0913  # one parameter per option
    run: RunId = "latest",
    row: Annotated[
        str | None,
        typer.Option(
            "--row", metavar="N", help="The row's index, counted from 0, or its row id.", show_default=False
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="ID", help="The row of this token.", show_default=False),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="EXPR",
            help="Rows, as they were read, for which this is true.",
            show_default=False,
        ),
    ] = None,
    sink: Annotated[
        str | None,
        typer.Option(
            "--sink", metavar="NAME", help="Rows of which something ended in this sink.", show_default=False
        ),
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            "--resource",
            metavar="NAME",
            help="A machine: why it exists, who approved it, what it cost.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="At most so many rows.")] = 10,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Tell the story of a row or a machine: what was done, and why.

    Every step with what it changed and how long it took, every decision with its condition and with
    what else happened (the other branches of the same decision), where each branch ended, and the
    file and hash that it ended in. Long values are cut short here, never with --json.
    """
    options: dict[str, Any] = {"row": row, "token": token, "where": where, "sink": sink}
    if resource is not None:
        return _resource(resource, database, [name for name in options if options[name]], as_json=as_json)
    from elspeth.api.explain import explain as explain_rows  # noqa: PLC0415

    found = explain_rows(run, **options, database=database, limit=limit)
    if as_json:
        emit_json(found.to_dict())
    else:
        _tell(found)
    return 0


def _resource(name: str, database: str | None, others: list[str], *, as_json: bool) -> int:
    from elspeth.api.resource import explain_resource  # noqa: PLC0415
    from elspeth.contracts.errors import UsageError  # noqa: PLC0415

    if others:
        raise UsageError(f"--resource can't be combined with --{others[0]}", fix="ask for one of them")
    stories = explain_resource(name, database)
    if as_json:
        emit_json({"resources": [story.to_dict() for story in stories]})
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.resource_tree import resource_tree  # noqa: PLC0415

    for story in stories:
        show(resource_tree(story))
    return 0


def _tell(found: Any) -> None:
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.lineage_tree import row_tree, run_line  # noqa: PLC0415

    show(run_line(found.run))
    for row in found.rows:
        show("", row_tree(row, found))
    if found.more:
        note("\nmore rows match: raise --limit")
