"""DSSE: an envelope around exact bytes, signed together with what they are.

What is signed is the pre-authentication encoding of https://github.com/secure-systems-lab/dsse
(protocol 1.0): ``DSSEv1``, the type and the payload, each with its length, so that no bytes can be read
as another type. The payload is never parsed before its signature is checked.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.ledger.heads import SigningKey, VerifierKey

PAYLOAD_TYPE = "application/vnd.elspeth.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and its signatures (key id, signature). Key ids are hints, and not signed."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def signed_by(self, keys: tuple[VerifierKey, ...]) -> tuple[VerifierKey, ...]:
        """Those of the keys that have signed exactly this."""
        data = encoded(self.payload_type, self.payload)
        return tuple(key for key in keys if any(key.verifies(found, data) for _, found in self.signatures))


def encoded(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed (PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_payload(payload: bytes, key: SigningKey, payload_type: str = PAYLOAD_TYPE) -> str:
    """The envelope, as JSON text."""
    signature = key.sign_bytes(encoded(payload_type, payload))
    keyid = f"{key.verifier.name}+{key.verifier.key_id.hex()}"
    document = {
        "payloadType": payload_type,
        "payload": b64encode(payload).decode(),
        "signatures": [{"keyid": keyid, "sig": b64encode(signature).decode()}],
    }
    return json.dumps(document, indent=2) + "\n"


def parse_envelope(data: bytes) -> Envelope | None:
    """Read an envelope; None if this is something else. Raises UsageError for a broken one."""
    try:
        document: Any = json.loads(data)
    except ValueError:
        return None
    if not isinstance(document, dict) or "payloadType" not in document:
        return None
    try:
        signatures = tuple(
            (str(one.get("keyid", "")), b64decode(one["sig"], validate=True))
            for one in document["signatures"]
        )
        payload = b64decode(document["payload"], validate=True)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            "this envelope is broken: payload and signatures must be base64", fix="sign it anew"
        ) from error
    return Envelope(str(document["payloadType"]), payload, signatures)
