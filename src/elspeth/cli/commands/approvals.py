"""``elspeth approvals``: ``list``, ``show``, ``approve``, ``reject``."""

from typing import Annotated, Any

import typer

from elspeth.cli.options import AsJson, By, Database, Fabric, command_app, examples
from elspeth.cli.output import emit_json, say

LIST = "elspeth approvals list\nelspeth approvals list --all"
SHOW = "elspeth approvals show 3f9a0c"
APPROVE = "elspeth approvals approve 3f9a0c --comment 'for the weekend run'"
REJECT = "elspeth approvals reject 3f9a0c --comment 'too dear'"

app = command_app(examples(f"{LIST}\n{SHOW}\n{APPROVE}"))

Digest = Annotated[
    str,
    typer.Argument(metavar="DIGEST", help="The plan's digest, or the beginning of it.", show_default=False),
]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.", show_default=False)]


@app.callback()
def approvals() -> None:
    """Look at plans that need approval; approve or reject them."""


@app.command("list", epilog=examples(LIST))
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="All plans on record, also those decided.")
    ] = False,
    fabric: Fabric = None,
    as_json: AsJson = False,
) -> int:
    """List the plans that wait for a decision, newest first."""
    from elspeth.api.approvals import list_approvals  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415

    found = list_approvals(everything=everything, kept=Kept(fabric=fabric))
    if as_json:
        emit_json(found)
        return 0
    for one in found:
        why = f": {'; '.join(one['needs'])}" if one["needs"] else ""
        say(f"{one['digest'][:12]}  {one['state']}  fleet {one['fleet']}, by {one['requested_by']}{why}")
    if not found:
        say("no plan waits for approval" if not everything else "there is no plan on record")
    return 0


@app.command(epilog=examples(SHOW))
def show(digest: Digest, fabric: Fabric = None, as_json: AsJson = False) -> int:
    """Show a plan that is on record, and what was decided about it."""
    from elspeth.api.approvals import show_approval  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415

    return _show(show_approval(digest, kept=Kept(fabric=fabric)), as_json=as_json)


@app.command(epilog=examples(APPROVE))
def approve(
    digest: Digest,
    comment: Comment = "",
    by: By = None,
    fabric: Fabric = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Approve exactly the plan with this digest; the approval expires as the fleet file says."""
    from elspeth.api.approvals import decide_approval  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415

    found = decide_approval(digest, "approved", by=by, comment=comment, kept=Kept(database, fabric))
    return _show(found, as_json=as_json)


@app.command(epilog=examples(REJECT))
def reject(
    digest: Digest,
    comment: Comment = "",
    by: By = None,
    fabric: Fabric = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Reject a plan; an approval given before no longer counts."""
    from elspeth.api.approvals import decide_approval  # noqa: PLC0415
    from elspeth.api.fleet_desk import Kept  # noqa: PLC0415

    found = decide_approval(digest, "rejected", by=by, comment=comment, kept=Kept(database, fabric))
    return _show(found, as_json=as_json)


def _show(found: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        emit_json(found)
        return 0
    plan = found["plan"]
    say(f"plan {found['digest']}")
    say(f"of fleet {found['fleet']}, made by {found['requested_by']} at {found['made_at']}")
    for name in plan["deletes"]:
        say(f"  - {name}")
    for unit in plan["changes"]:
        say(f"  ~ {unit['name']}  {unit['size']}")
    for unit in plan["creates"]:
        say(f"  + {unit['name']}  {unit['size']} in {unit['location']}")
    say(f"the whole fleet: ${plan['cost_per_hour']:.2f} per hour, at most ${plan['most_per_hour']:.2f}")
    for need in found["needs"]:
        say(f"needs approval: {need}")
    for one in found["decisions"]:
        until = f", until {one['expires_at']}" if one["expires_at"] else ""
        comment = f": {one['comment']}" if one["comment"] else ""
        say(f"{one['verdict']} by {one['by']} at {one['at']}{until}{comment}")
    say(f"state: {found['state']}")
    return 0
