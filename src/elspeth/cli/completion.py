"""What the shell offers for names that only the installation or the landscape knows."""

import typer

from elspeth.contracts.errors import ElspethError

_RUNS = 20


def complete_runs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """``latest``, and the ids of the newest runs with how each went. Silent if there is no landscape."""
    from elspeth.api.runs import list_runs  # noqa: PLC0415

    try:
        runs = list_runs(ctx.params.get("database"), limit=_RUNS)
    except ElspethError:
        return []
    found = [("latest", "the newest run"), *((run.run_id, str(run.status)) for run in runs)]
    return [(name, text) for name, text in found if name.startswith(incomplete)]


def complete_kinds(incomplete: str) -> list[str]:
    """The kinds of plugins."""
    from elspeth.api.plugins import KINDS  # noqa: PLC0415

    return [kind for kind in KINDS if kind.startswith(incomplete)]


def complete_plugins(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The installed plugins of the kind that was given before, with what each does."""
    from elspeth.api.plugins import list_plugins  # noqa: PLC0415

    try:
        plugins = list_plugins(ctx.params.get("kind"))
    except ElspethError:
        return []
    return [(plugin.name, plugin.summary) for plugin in plugins if plugin.name.startswith(incomplete)]
