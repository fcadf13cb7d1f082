"""``manifest show``, ``sign`` and ``verify``: what a provider says it can do, and whether it may be
believed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elspeth.api.keys import public_key
from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.core.clock import Clock
from elspeth.core.landscape.ledger.heads import SigningKey
from elspeth.fabric.manifest import (
    Trusted,
    load_manifest,
    parse_envelope,
    parse_manifest,
    require_signed,
    sign_payload,
)
from elspeth.fabric.manifest.model import Manifest


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """Where a signed manifest was put, and the public key that checks it."""

    path: Path
    key: str


def show_manifest(path: str | os.PathLike[str]) -> Trusted:
    """What a manifest says, believed or not. Raises NotFoundError, UsageError."""
    return load_manifest(Path(path))


def sign_manifest(
    path: str | os.PathLike[str], key: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> SignedManifest:
    """Sign the exact bytes of a manifest with a key of ``elspeth keys new``.

    ``out``: where to put it (default: the name with ``.dsse.json``). A file that is there is not
    written over. Raises NotFoundError, UsageError.
    """
    source = Path(path)
    target = Path(out) if out is not None else source.with_suffix(".dsse.json")
    try:
        data = source.read_bytes()
    except OSError as error:
        raise NotFoundError(f"the manifest {source} can't be read: {error.strerror}") from error
    if parse_envelope(data) is not None:
        raise UsageError(f"{source} is signed already", fix="sign the manifest itself")
    parse_manifest(data)
    signer = SigningKey.load(key)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(sign_payload(data, signer))
    except FileExistsError as error:
        raise UsageError(
            f"{target} is there already", fix="remove it, or name another file: --out"
        ) from error
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}") from error
    return SignedManifest(target, str(signer.verifier))


def verify_manifest(path: str | os.PathLike[str], keys: Sequence[str], provider: str = "") -> Manifest:
    """The manifest, if one of these public keys (files, or their text) signed it and it has not expired.

    Raises ManifestError if it may not be believed, UsageError.
    """
    return require_signed(Path(path), [public_key(key) for key in keys], Clock().now(), provider)


def manifest_dict(manifest: Manifest) -> dict[str, Any]:
    """A manifest as plain JSON values."""
    return manifest.model_dump(mode="json", exclude_none=True)
