"""Whether a manifest may be believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from elspeth.contracts.errors import ElspethError, NotFoundError, UsageError
from elspeth.core.landscape.ledger.heads import VerifierKey
from elspeth.fabric.manifest.dsse import PAYLOAD_TYPE, Envelope, parse_envelope
from elspeth.fabric.manifest.model import Manifest, parse_manifest

LARGEST = 1_000_000


class ManifestError(ElspethError):
    """A manifest can't be believed. ``reason``: ``missing``, ``unsigned``, ``untrusted``, ``expired``,
    ``wrong_provider``.
    """

    exit_code = 1

    def __init__(self, reason: str, what: str, *, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Trusted:
    """A manifest, and who of those who count has signed it (nobody: it may say anything)."""

    manifest: Manifest
    signed_by: tuple[str, ...]
    signed: bool


def load_manifest(path: Path, keys: Sequence[VerifierKey] = ()) -> Trusted:
    """Read a manifest, signed or not, and say which of these keys signed it. Raises NotFoundError,
    UsageError.

    The trap: it believes nothing and refuses nothing. `require_signed` does.
    """
    envelope, data = _read(path)
    if envelope is None:
        return Trusted(parse_manifest(data), (), signed=False)
    names = tuple(str(key) for key in envelope.signed_by(tuple(keys)))
    return Trusted(parse_manifest(envelope.payload), names, signed=True)


def _read(path: Path) -> tuple[Envelope | None, bytes]:
    """The envelope around a manifest, or (None) the file itself; the payload is not looked at."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no manifest at {path}") from error
    except OSError as error:
        raise UsageError(f"the manifest {path} can't be read: {error.strerror}") from error
    if len(data) > LARGEST:
        raise UsageError(f"{path} has {len(data):,} bytes: this is no manifest")
    envelope = parse_envelope(data)
    if envelope is not None and envelope.payload_type != PAYLOAD_TYPE:
        raise UsageError(f"{path} is an envelope around something else: {envelope.payload_type}")
    return envelope, data


def require_signed(path: Path, keys: Sequence[VerifierKey], now: datetime, provider: str = "") -> Manifest:
    """As `require_trusted`, the manifest only."""
    return require_trusted(path, keys, now, provider).manifest


def require_trusted(path: Path, keys: Sequence[VerifierKey], now: datetime, provider: str = "") -> Trusted:
    """The manifest, if one of the pinned keys signed exactly these bytes and it has not expired, and who did.

    Raises ManifestError, and UsageError for a file that is no manifest at all. ``provider``: whose it
    must be.
    """
    if not keys:
        raise UsageError(
            "no key is trusted: every manifest would be refused", fix="name the public keys that count"
        )
    try:
        envelope, _ = _read(path)
    except NotFoundError as error:
        raise ManifestError("missing", error.what, fix="sign one: elspeth manifest sign") from error
    if envelope is None:
        raise ManifestError("unsigned", f"{path} is not signed", fix="sign it: elspeth manifest sign")
    signers = envelope.signed_by(tuple(keys))
    if not signers:
        raise ManifestError(
            "untrusted",
            f"none of the trusted keys signed {path} as it is: it was altered, or signed by somebody else",
            fix="ask who publishes it for the key, by another way than the one this file came",
        )
    manifest = parse_manifest(envelope.payload)
    if manifest.expires_at is not None and manifest.expires_at <= now:
        raise ManifestError(
            "expired",
            f"{path} expired at {manifest.expires_at.isoformat()}",
            fix="get the one that is valid today",
        )
    if provider and manifest.provider != provider:
        raise ManifestError(
            "wrong_provider", f"{path} is the manifest of {manifest.provider!r}, not of {provider!r}"
        )
    return Trusted(manifest, tuple(str(key) for key in signers), signed=True)
