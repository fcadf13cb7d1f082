"""What ``traces.payload`` and ``traces.deltas`` may hold instead of JSON; neither begins as JSON can.

``@SEGMENT:OFFSET:LENGTH:SHA256``   the text is in a segment of the payload store, compressed
``!HASH``                           payload and deltas were purged; this was their common hash (base64)

The second stands in ``payload`` for both. It is the hash that a trace's leaf was made of (see
``ledger.leaves.content_hash``), so that a purge leaves every leaf, and every proof, as it was.

``calls.request`` and ``calls.response`` may be any text. One of them is a reference only if the hash in it is
the one that the call's own column holds: no text can hold its own hash, so none is taken for a reference.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from elspeth.contracts.errors import LandscapeError

REFERENCE = "@"
PURGED = "!"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a text is. ``segment`` is a file with its run before it; ``sha256`` is the text's, in hex."""

    segment: str
    offset: int
    length: int
    sha256: str

    def __str__(self) -> str:
        return f"{REFERENCE}{self.segment}:{self.offset}:{self.length}:{self.sha256}"


def parse_reference(text: str) -> Reference:
    """The reference that a stored text is. Raises LandscapeError if it is none."""
    try:
        segment, offset, length, sha256 = text.removeprefix(REFERENCE).rsplit(":", 3)
        found = Reference(segment, int(offset), int(length), sha256)
    except ValueError:
        found = None
    if found is None or str(found) != text or ".." in found.segment:
        raise LandscapeError(f"a reference to the payload store can't be read: {text[:80]!r}")
    return found


def body_reference(stored: str | None, recorded_hash: str | None) -> Reference | None:
    """The reference that stands for the body of a call; None for a body that is there itself."""
    if stored is None or recorded_hash is None or not stored.startswith(REFERENCE):
        return None
    try:
        reference = parse_reference(stored)
    except LandscapeError:
        return None
    return reference if reference.sha256 == recorded_hash else None


def purged(content_hash: bytes) -> str:
    """What stands for contents with this hash once they are purged."""
    return f"{PURGED}{urlsafe_b64encode(content_hash).decode().rstrip('=')}"


def hash_of_purged(text: str) -> bytes:
    """The hash that a purge left behind. Raises ValueError if the text is not of that form."""
    found = urlsafe_b64decode(f"{text.removeprefix(PURGED)}=")
    if purged(found) != text or len(found) != 32:
        raise ValueError("not the mark of a purge")
    return found


def is_purged(text: str | None) -> bool:
    """Whether a stored payload is the mark that a purge leaves."""
    return text is not None and text.startswith(PURGED)
