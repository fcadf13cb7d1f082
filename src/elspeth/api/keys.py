"""``keys new``: an Ed25519 key pair with which tree heads are signed and checked."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from elspeth.contracts.errors import UsageError
from elspeth.core.landscape.ledger.heads import SigningKey, VerifierKey, parse_verifier_key

PRIVATE, PUBLIC = "elspeth-signing.key", "elspeth-signing.pub"
KEY_VARIABLE = "ELSPETH_SIGNING_KEY"


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """A key pair on disk. ``verifier`` is the public key as text, which is no secret."""

    private: Path
    public: Path
    verifier: str


def new_key(out: str | os.PathLike[str] = ".", name: str | None = None) -> KeyFiles:
    """Make a key pair in a directory; only the owner may read the private file.

    ``name`` tells signers apart (default: ``elspeth/`` and the host's name). Raises UsageError for
    a name with spaces or ``+``, where a key is already, and where the files can't be written.
    """
    key = SigningKey.generate(f"elspeth/{socket.gethostname() or 'host'}" if name is None else name)
    home = Path(out)
    private, public = home / PRIVATE, home / PUBLIC
    try:
        home.mkdir(parents=True, exist_ok=True)
        for path, text, mode in ((private, str(key), 0o600), (public, str(key.verifier), 0o644)):
            place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(place, "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
    except FileExistsError as error:
        raise UsageError(
            f"there is a key at {error.filename}: it is not written over",
            fix="name another directory: --out DIR. Heads signed with a lost key can still be checked",
        ) from error
    except OSError as error:
        raise UsageError(f"the key can't be written to {home}: {error.strerror}") from error
    return KeyFiles(private, public, str(key.verifier))


def public_key(given: str) -> VerifierKey:
    """The public key in a file, or in the text itself. Raises UsageError for anything else."""
    path = Path(given)
    try:
        if path.is_file():
            return parse_verifier_key(path.read_text("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"the key {given} can't be read: {error}") from error
    if "+" not in given:
        raise UsageError(
            f"there is no key at {given}", fix="give the .pub file that `elspeth keys new` made, or its text"
        )
    return parse_verifier_key(given)
