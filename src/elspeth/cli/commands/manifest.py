"""``elspeth manifest``: ``show``, ``sign``, ``verify``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from elspeth.cli.options import AsJson, command_app, examples
from elspeth.cli.output import emit_json, note, say

SHOW = "elspeth manifest show azure_vm.json\nelspeth manifest show azure_vm.dsse.json --json"
SIGN = "elspeth manifest sign azure_vm.json --key elspeth-signing.key"
VERIFY = "elspeth manifest verify azure_vm.dsse.json --key elspeth-signing.pub --provider azure_vm"

app = command_app(examples(f"{SIGN}\n{VERIFY}"))

File = Annotated[Path, typer.Argument(metavar="FILE", help="A manifest, signed or not.", show_default=False)]


@app.callback()
def manifest() -> None:
    """Show, sign and check what a provider says it can do."""


@app.command(epilog=examples(SHOW))
def show(file: File, as_json: AsJson = False) -> int:
    """Show what a manifest says, whether it may be believed or not."""
    from elspeth.api.manifest import manifest_dict, show_manifest  # noqa: PLC0415

    found = show_manifest(file)
    if as_json:
        emit_json({"signed": found.signed, "manifest": manifest_dict(found.manifest)})
        return 0
    _tell(manifest_dict(found.manifest))
    note(
        "signed; who signed it is not checked here: elspeth manifest verify" if found.signed else "not signed"
    )
    return 0


@app.command(epilog=examples(SIGN))
def sign(
    file: File,
    key: Annotated[
        Path,
        typer.Option(
            "--key", metavar="FILE", help="The private key of `elspeth keys new`.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to put it.  [default: FILE with .dsse.json]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Sign the exact bytes of a manifest, as a DSSE envelope with Ed25519."""
    from elspeth.api.manifest import sign_manifest  # noqa: PLC0415

    made = sign_manifest(file, key, out)
    if as_json:
        emit_json({"path": str(made.path), "key": made.key})
        return 0
    say(f"made {made.path}")
    say(made.key)
    return 0


@app.command(epilog=examples(VERIFY))
def verify(
    file: File,
    key: Annotated[
        list[str],
        typer.Option(
            "--key", metavar="KEY", help="A public key that counts: a file, or its text. Several: repeat it.",
            show_default=False,
        ),
    ],
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="Whose manifest it must be.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> int:  # fmt: skip
    """Check that a trusted key signed a manifest exactly as it is, and that it has not expired.

    Exit code 0: it may be believed; 1: it may not; 2: it can't be checked.
    """
    from elspeth.api.manifest import manifest_dict, verify_manifest  # noqa: PLC0415

    found = verify_manifest(file, key, provider)
    if as_json:
        emit_json({"ok": True, "manifest": manifest_dict(found)})
        return 0
    say(f"✓ {file} is signed by a trusted key")
    _tell(manifest_dict(found))
    return 0


def _tell(manifest: dict[str, Any]) -> None:
    say(f"{manifest['provider']}, API of {manifest['version']}")
    if "expires_at" in manifest:
        say(f"  expires {manifest['expires_at']}")
    for capability in manifest["capabilities"]:
        say(f"  {capability['id']}: {', '.join(capability['operations'])}")
        target = capability.get("slo_targets")
        if target:
            latency = f", p95 {target['latency_p95_ms']:g} ms" if "latency_p95_ms" in target else ""
            say(f"    promised: {target['availability']:.4%} of calls succeed{latency}")
        for change in capability.get("breaking_changes", ()):
            say(f"    breaking change: {change}")
    for name, value in manifest.get("limits", {}).items():
        say(f"  at most {value:g} {name}")
