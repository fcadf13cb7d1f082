"""``elspeth providers``: ``status``, ``serve``, ``manifest``."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from elspeth.cli.options import AsJson, Database, command_app, examples
from elspeth.cli.output import emit_json, note

if TYPE_CHECKING:
    from elspeth.fabric.manifest import Manifest

STATUS = "elspeth providers status\nelspeth providers status --prometheus\nelspeth providers status --json"
SERVE = "elspeth providers serve\nelspeth providers serve --port 9464 --database postgresql://…"
MANIFEST = "elspeth providers manifest azure_vm > azure_vm.json"

app = command_app(examples(f"{STATUS}\n{SERVE}"))

Manifests = Annotated[
    list[str] | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="What a provider promises, instead of what comes with us. Several: repeat it.",
        show_default=False,
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="A public key: each --manifest must be signed by one of those given.",
        show_default=False,
    ),
]


@app.callback()
def providers() -> None:
    """Show how the services that were called have been, and what they promise."""


@app.command(epilog=examples(STATUS))
def status(
    manifest: Manifests = None,
    key: Keys = None,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="As text for Prometheus, once.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> int:
    """Show availability and latency of every provider over 1 hour, 24 hours and 30 days.

    All of it is told from the calls on record; what a manifest promises is held against it. Nothing that
    ELSPETH does depends on these figures.
    """
    from elspeth.api.providers import health_dict, prometheus_text, providers_health  # noqa: PLC0415

    known = _known(manifest, key)
    if prometheus:
        sys.stdout.write(prometheus_text(database, known))
        return 0
    found = providers_health(database, known)
    if as_json:
        emit_json(health_dict(found))
        return 0
    from elspeth.cli.consoles import show  # noqa: PLC0415
    from elspeth.cli.health_tables import health_table  # noqa: PLC0415

    if not found:
        note("no calls in the last 30 days are on record here")
    for one in found:
        show(health_table(one))
    return 0


@app.command(epilog=examples(SERVE))
def serve(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535)] = 9464,
    manifest: Manifests = None,
    key: Keys = None,
    database: Database = None,
) -> int:
    """Answer Prometheus at /metrics, from the record as it is at each scrape. Ctrl-C ends it.

    Only this machine can ask, unless --host names another address; there is no password.
    """
    from threading import Event  # noqa: PLC0415

    from elspeth.api.providers import serve_metrics  # noqa: PLC0415

    end = serve_metrics(host, port, database, _known(manifest, key))
    note(f"http://{host}:{port}/metrics  (Ctrl-C ends it)")
    try:
        Event().wait()
    except KeyboardInterrupt:
        note("")
    finally:
        end()
    return 0


@app.command(epilog=examples(MANIFEST))
def manifest(
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="azure_blob or azure_vm.", show_default=False)
    ],
) -> int:
    """Print the manifest of a provider that comes with us, to be changed and signed."""
    from elspeth.api.providers import shipped_manifest  # noqa: PLC0415

    sys.stdout.write(shipped_manifest(provider).decode())
    return 0


def _known(paths: list[str] | None, keys: list[str] | None) -> "dict[str, Manifest]":
    from elspeth.api.providers import manifests  # noqa: PLC0415
    from elspeth.contracts.errors import UsageError  # noqa: PLC0415

    if keys and not paths:
        raise UsageError("--key says who must have signed a --manifest, and there is none")
    return manifests(paths or (), keys or ())
