"""The signature of an export's manifest, and checking an export against both."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.core.landscape.export.manifest import FORMAT, NAME, describe
from elspeth.core.landscape.ledger.heads import SigningKey, VerifierKey

SIGNATURE = ".sig"


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """What is wrong with an export (nothing, if ``problems`` is empty) and who signed it."""

    run_id: str
    files: int
    problems: tuple[str, ...]
    signed_by: str | None


def sign(manifest: bytes, key: SigningKey) -> bytes:
    """The signature of exactly these bytes, as JSON: Ed25519, with the public key's text for reference."""
    document = {"key": str(key.verifier), "signature": b64encode(key.sign_bytes(manifest)).decode()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def check_export(target: Path, key: VerifierKey | None = None) -> ExportCheck:
    """Hold an export's files against its manifest and, with a key, the manifest against its signature.

    ``target`` is the directory, the manifest, or the one file of an export to one file. Without a key nothing
    but accidents can be found: whoever changes a file can change the manifest. Raises NotFoundError where
    there is no export, UsageError for a manifest that can't be read.
    """
    listing = _manifest_of(target)
    content = listing.read_bytes()
    document = _parse(listing, content)
    problems = []
    for name, expected in document["files"].items():
        path = listing.parent / Path(name).name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif describe(path, 0).sha256 != expected["sha256"]:
            problems.append(f"{name} is not what was exported")
    signed_by = None
    if key is not None:
        if _is_signed(listing, content, key):
            signed_by = key.name
        else:
            problems.append(f"{listing.name} has no signature by {key.name}")
    return ExportCheck(str(document["run_id"]), len(document["files"]), tuple(problems), signed_by)


def _manifest_of(target: Path) -> Path:
    candidates = (target / NAME, target.with_name(f"{target.name}.{NAME}"), target)
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise NotFoundError(f"there is no export at {target}", fix="name its directory or its manifest")
    return found


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
        if document["format"] == FORMAT and isinstance(document["files"], dict):
            return dict(document)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise UsageError(f"{path} is not the manifest of an export", fix="name the export's directory")


def _is_signed(listing: Path, content: bytes, key: VerifierKey) -> bool:
    try:
        document = orjson.loads(listing.with_name(f"{listing.name}{SIGNATURE}").read_bytes())
        signature = b64decode(document["signature"], validate=True)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return key.verifies(signature, content)
