"""``elspeth fleet``: ``plan``, ``apply``, ``status``, ``destroy``, ``sweep``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.cli.output import emit_json, note, say

if TYPE_CHECKING:
    from elspeth.api.fleet import FleetStatus

PLAN = "elspeth fleet plan fleet.yaml\nelspeth fleet plan fleet.yaml --json"
APPLY = "elspeth fleet apply fleet.yaml --digest 3f9a0c"
STATUS = "elspeth fleet status fleet.yaml"
DESTROY = "elspeth fleet destroy fleet.yaml --yes"
SWEEP = "elspeth fleet sweep fleet.yaml"

app = command_app(examples(f"{PLAN}\n{APPLY}\n{STATUS}"))

File = Annotated[Path, typer.Argument(metavar="FILE", help="The fleet file.", show_default=False)]


@app.callback()
def fleet() -> None:
    """Plan, create, watch and destroy machines in Azure, as a file says."""


@app.command(epilog=examples(PLAN))
def plan(file: File, database: Database = None, as_json: AsJson = False) -> int:
    """Show what would be created, changed and deleted, and what it would cost. Changes nothing."""
    from elspeth.api.fleet import plan_dict, plan_fleet  # noqa: PLC0415

    found = plan_fleet(file, database=database)
    if as_json:
        emit_json(plan_dict(found))
        return 0
    remade = {unit.name for unit in found.creates} & set(found.deletes)
    for name in found.deletes:
        say(f"- {name}" + ("  (made anew)" if name in remade else ""))
    for unit in found.changes:
        say(f"~ {unit.name}  {unit.size}, running")
    for unit in found.creates:
        say(f"+ {unit.name}  {unit.size} in {unit.location}" + (", spot" if unit.spot else ""))
    if found.empty:
        say("nothing to do")
    say(f"the whole fleet: ${found.cost_per_hour:.2f} per hour")
    say(f"digest {found.digest}")
    if not found.empty:
        note(f"\nnext:\n  elspeth fleet apply {file} --digest {found.digest}")
    return 0


@app.command(epilog=examples(APPLY))
def apply(
    file: File,
    digest: Annotated[
        str,
        typer.Option(
            "--digest", metavar="DIGEST", help="Of the plan that you have looked at.", show_default=False
        ),
    ],
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Do what a plan says, if it is still the plan. Costs money from now on."""
    from elspeth.api.fleet import apply_fleet  # noqa: PLC0415

    return _show(apply_fleet(file, digest, database=database), as_json=as_json)


@app.command(epilog=examples(STATUS))
def status(file: File, database: Database = None, as_json: AsJson = False) -> int:
    """Show the fleet as it is, and what bears its tag without belonging to a machine."""
    from elspeth.api.fleet import fleet_status  # noqa: PLC0415

    return _show(fleet_status(file, database=database), as_json=as_json)


@app.command(epilog=examples(DESTROY))
def destroy(
    file: File,
    yes: Annotated[
        bool, typer.Option("--yes", help="Really: machines and their disks are gone for good.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Delete every machine of the fleet, with disks, interfaces and addresses, and nothing else."""
    from elspeth.api.fleet import destroy_fleet  # noqa: PLC0415
    from elspeth.contracts.errors import UsageError  # noqa: PLC0415

    if not yes:
        raise UsageError("this deletes machines and their disks for good", fix="say so: --yes")
    gone = destroy_fleet(file, database=database)
    if as_json:
        emit_json({"deleted": gone})
        return 0
    for name in gone:
        say(f"- {name}")
    say(f"{len(gone)} machines deleted")
    return 0


@app.command(epilog=examples(SWEEP))
def sweep(file: File, database: Database = None, as_json: AsJson = False) -> int:
    """Delete what bears the fleet's tag and belongs to no machine: left by creations that failed."""
    from elspeth.api.fleet import sweep_fleet  # noqa: PLC0415

    gone = sweep_fleet(file, database=database)
    if as_json:
        emit_json({"deleted": gone})
        return 0
    for one in gone:
        say(f"- {one}")
    say(f"{len(gone)} strays deleted")
    return 0


def _show(found: "FleetStatus", *, as_json: bool) -> int:
    from elspeth.api.fleet import status_dict  # noqa: PLC0415

    if as_json:
        emit_json(status_dict(found))
        return 0
    for unit in found.world.units:
        say(f"{unit.name}  {unit.status}  {unit.size} in {unit.location}" + (", spot" if unit.spot else ""))
    for stray in found.world.strays:
        say(f"stray: {stray}")
    say(f"{len(found.world.units)} machines, ${found.cost_per_hour:.2f} per hour")
    if found.world.strays:
        note("strays cost money too: elspeth fleet sweep")
    return 0
