"""What a provider says it can do, signed so that it can be held to it.

A manifest is JSON; signed, it is the payload of a DSSE envelope (Ed25519). Which keys count is
configuration: a key inside the file proves nothing.
"""

from elspeth.fabric.manifest.dsse import Envelope, parse_envelope, sign_payload
from elspeth.fabric.manifest.model import Capability, Manifest, parse_manifest
from elspeth.fabric.manifest.trust import (
    ManifestError,
    Trusted,
    load_manifest,
    require_signed,
    require_trusted,
)

__all__ = [
    "Capability",
    "Envelope",
    "Manifest",
    "ManifestError",
    "Trusted",
    "load_manifest",
    "parse_envelope",
    "parse_manifest",
    "require_signed",
    "require_trusted",
    "sign_payload",
]
