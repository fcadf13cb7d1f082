"""``elspeth doctor``."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.cli.output import emit_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elspeth.api.doctor import Check

app = command_app()

EXAMPLES = """
    elspeth doctor
    elspeth doctor --database sqlite:///audit.db --json
    elspeth doctor --upgrade
    elspeth doctor --pipeline pipeline.yaml
"""
SOMETHING_FAILS = 2


@app.command(epilog=examples(EXAMPLES))
def doctor(
    upgrade: Annotated[
        bool,
        typer.Option(
            "--upgrade", help="First bring the landscape to this release's version. Make a copy before."
        ),
    ] = False,
    pipeline: Annotated[
        Path | None,
        typer.Option(
            "--pipeline", help="Also ask the services that this pipeline names whether it may use them."
        ),
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Check this installation and its landscape; upgrade a landscape.

    Looks at Python, SQLite, the optional parts, the landscape (reachable, writable, of this version),
    the disk, the key for fingerprints of secrets, and the terminal. Exit code 2 if something fails.
    """
    from elspeth.api.doctor import examine, upgrade_landscape  # noqa: PLC0415

    upgraded_to = upgrade_landscape(database) if upgrade else None
    checks = [*examine(database), _terminal()]
    if pipeline is not None:
        from elspeth.api.doctor_pipeline import examine_pipeline  # noqa: PLC0415

        checks += examine_pipeline(pipeline)
    if as_json:
        emit_json({"upgraded_to": upgraded_to, "checks": [asdict(check) for check in checks]})
    else:
        _show(checks, upgraded_to)
    return SOMETHING_FAILS if any(check.verdict == "fail" for check in checks) else 0


def _show(checks: "Sequence[Check]", upgraded_to: str | None) -> None:
    from elspeth.cli.check_list import check_list  # noqa: PLC0415
    from elspeth.cli.consoles import show  # noqa: PLC0415

    if upgraded_to is not None:
        show(f"the landscape has version {upgraded_to}")
    show(check_list(checks))


def _terminal() -> "Check":
    from elspeth.api.doctor import Check, Verdict  # noqa: PLC0415

    encoding = (sys.stdout.encoding or "unknown").lower()
    what = f"{'a terminal' if sys.stdout.isatty() else 'no terminal'}, {encoding}"
    if encoding.startswith("utf"):
        return Check("output", Verdict.OK, what)
    return Check(
        "output", Verdict.WARN, what, "set PYTHONIOENCODING=utf-8: other characters are shown escaped"
    )
