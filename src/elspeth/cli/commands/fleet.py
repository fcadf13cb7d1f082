"""``elspeth fleet``: ``plan``, ``apply``, ``status``, ``destroy``, ``sweep``, ``schema``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elspeth.cli.options import AsJson, By, Database, Fabric, command_app, examples
from elspeth.cli.output import emit_json, note, say

if TYPE_CHECKING:
    from elspeth.api.fleet import FleetStatus

PLAN = "elspeth fleet plan fleet.yaml\nelspeth fleet plan fleet.yaml --json"
APPLY = "elspeth fleet apply fleet.yaml --digest 3f9a0c"
STATUS = "elspeth fleet status fleet.yaml"
DESTROY = "elspeth fleet destroy fleet.yaml --yes\nelspeth fleet destroy fleet.yaml --only 'web-00*' --yes"
SWEEP = "elspeth fleet sweep fleet.yaml"
SCHEMA = "elspeth fleet schema > fleet.schema.json"

app = command_app(examples(f"{PLAN}\n{APPLY}\n{STATUS}"))

File = Annotated[Path, typer.Argument(metavar="FILE", help="The fleet file.", show_default=False)]


@app.callback()
def fleet() -> None:
    """Plan, create, watch and destroy machines in Azure, as a file says."""


@app.command(epilog=examples(PLAN))
def plan(
    file: File, by: By = None, fabric: Fabric = None, database: Database = None, as_json: AsJson = False
) -> int:
    """Show what would be created, changed and deleted, and what it would cost. Changes nothing in Azure."""
    from elspeth.api.fleet import plan_dict, plan_fleet  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415
    from elspeth.cli.fleet_text import plan_lines  # noqa: PLC0415

    found = plan_fleet(file, kept=Kept(database, fabric), by=by)
    if as_json:
        emit_json(plan_dict(found))
        return 0
    for line in plan_lines(found):
        say(line)
    digest = found.plan.digest
    if found.approval in ("pending", "expired"):
        note(f"\nnext, somebody else:\n  elspeth approvals approve {digest[:12]}")
    elif not found.plan.empty:
        note(f"\nnext:\n  elspeth fleet apply {file} --digest {digest[:12]}")
    return 0


@app.command(epilog=examples(APPLY))
def apply(
    file: File,
    digest: Annotated[
        str,
        typer.Option(
            "--digest",
            metavar="DIGEST",
            help="Of the plan that you have looked at, or the beginning of it.",
            show_default=False,
        ),
    ],
    fabric: Fabric = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Do what a plan says, if it is still the plan. Costs money from now on."""
    from elspeth.api.fleet import apply_fleet  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415
    from elspeth.cli.fleet_text import step_line  # noqa: PLC0415

    done = apply_fleet(file, digest, kept=Kept(database, fabric), on_step=lambda end: note(step_line(end)))
    return _show(done, as_json=as_json)


@app.command(epilog=examples(STATUS))
def status(file: File, fabric: Fabric = None, database: Database = None, as_json: AsJson = False) -> int:
    """Show the fleet as it is, and what bears its tag without belonging to a machine."""
    from elspeth.api.fleet import fleet_status  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415

    return _show(fleet_status(file, kept=Kept(database, fabric)), as_json=as_json)


@app.command(epilog=examples(DESTROY))
def destroy(
    file: File,
    yes: Annotated[
        bool, typer.Option("--yes", help="Really: machines and their disks are gone for good.")
    ] = False,
    only: Annotated[
        str, typer.Option("--only", metavar="PATTERN", help="Only machines whose names fit, such as web-00*.")
    ] = "*",
    fabric: Fabric = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Delete the machines of the fleet, with disks, interfaces and addresses, and nothing else."""
    from elspeth.api.fleet import destroy_fleet  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415
    from elspeth.cli.fleet_text import counted  # noqa: PLC0415
    from elspeth.contracts.errors import UsageError  # noqa: PLC0415

    if not yes:
        raise UsageError("this deletes machines and their disks for good", fix="say so: --yes")
    gone = destroy_fleet(file, selector=only, kept=Kept(database, fabric))
    if as_json:
        emit_json({"deleted": gone})
        return 0
    for name in gone:
        say(f"- {name}")
    say(f"{counted(len(gone), 'machine')} deleted")
    return 0


@app.command(epilog=examples(SWEEP))
def sweep(file: File, fabric: Fabric = None, database: Database = None, as_json: AsJson = False) -> int:
    """Delete what bears the fleet's tag and belongs to no machine: left by creations that failed."""
    from elspeth.api.fleet import sweep_fleet  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415
    from elspeth.cli.fleet_text import counted  # noqa: PLC0415

    gone = sweep_fleet(file, kept=Kept(database, fabric))
    if as_json:
        emit_json({"deleted": gone})
        return 0
    for one in gone:
        say(f"- {one}")
    say(f"{counted(len(gone), 'stray')} deleted")
    return 0


@app.command(epilog=examples(SCHEMA))
def schema() -> int:
    """Print the JSON Schema of fleet files, for editors."""
    from elspeth.api.fleet import schema_dict  # noqa: PLC0415

    emit_json(schema_dict())
    return 0


def _show(found: "FleetStatus", *, as_json: bool) -> int:
    from elspeth.api.fleet import status_dict  # noqa: PLC0415
    from elspeth.cli.fleet_text import status_lines  # noqa: PLC0415

    if as_json:
        emit_json(status_dict(found))
        return 0
    for line in status_lines(found):
        say(line)
    if found.world.strays:
        note("strays cost money too: elspeth fleet sweep")
    return 0
