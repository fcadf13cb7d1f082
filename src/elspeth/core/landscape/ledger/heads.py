"""Tree heads as C2SP writes them (tlog-checkpoint in a signed note), and Ed25519 keys in the note's form.

A head's text is the run's origin, the number of leaves and the root hash, each on a line. A signature
covers that text; an unsigned head has none, and says only what the database says of itself.
"""

import os
import stat
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elspeth.contracts.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "elspeth/run/"
_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY"
_DASH = "\u2014 "


class NoteError(ValueError):
    """A text is not a head, or not one that these keys signed."""


@dataclass(frozen=True, slots=True)
class Head:
    """A run's tree at one commit. ``note`` is the head as text, with its signatures."""

    run_no: int
    head_no: int
    origin: str
    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a head's text says; ``signatures`` are (key name, key id and signature) pairs."""

    origin: str
    size: int
    root: bytes
    text: str
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def run_id(self) -> str:
        """The run whose tree this is. Raises NoteError for the head of something else."""
        if not self.origin.startswith(ORIGIN):
            raise NoteError(f"{self.origin!r} is not a run of ELSPETH")
        return self.origin.removeprefix(ORIGIN)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key. As text: ``name+hash+base64``, the form of C2SP signed notes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether this key made the signature (64 bytes) of exactly these bytes."""
        key = _ed25519().Ed25519PublicKey.from_public_bytes(self.public)
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def signed(self, checkpoint: Checkpoint) -> bool:
        """Whether this key signed that head."""
        key = _ed25519().Ed25519PublicKey.from_public_bytes(self.public)
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        for name, signature in checkpoint.signatures:
            if name == self.name and signature[:4] == self.key_id:
                try:
                    key.verify(signature[4:], checkpoint.text.encode())
                except InvalidSignature:
                    return False
                return True
        return False


class SigningKey:
    """A private key that signs heads. Make one with `generate`, load it with `load`."""

    def __init__(self, name: str, key: "Ed25519PrivateKey") -> None:
        self._key = key
        self.verifier = VerifierKey(name, key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """A new key. Raises UsageError for a name with spaces, ``+``, or none at all."""
        if not name or any(sign.isspace() or sign == "+" for sign in name):
            raise UsageError(f"a key can't be called {name!r}", fix="a name without spaces and without +")
        return cls(name, _ed25519().Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SigningKey":
        """The key in a file that only its owner may read.

        Raises NotFoundError, or UsageError for a file that is no key or that others may read.
        """
        file = Path(path)
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            text = file.read_text("utf-8", "replace").strip()
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no signing key at {file}", fix="make one: elspeth keys new, or see to the path"
            ) from error
        except OSError as error:
            raise UsageError(f"the signing key {file} can't be read: {error.strerror}") from error
        if mode & 0o077 and os.name == "posix":
            raise UsageError(
                f"the signing key {file} can be read by others (mode {mode:04o}): it may have been copied",
                fix=f"make a new key, or if you are sure of this one: chmod 600 {file}",
            )
        return cls(*_parse_private(text, file))

    def __str__(self) -> str:
        """The private key as text. Never print it."""
        seed = b64encode(_ED25519 + self._key.private_bytes_raw()).decode()
        return f"{_PRIVATE}+{self.verifier.name}+{self.verifier.key_id.hex()}+{seed}"

    def __repr__(self) -> str:
        return f"SigningKey({self.verifier.name!r})"

    def sign_bytes(self, data: bytes) -> bytes:
        """The bare signature (64 bytes) of exactly these bytes."""
        signature: bytes = self._key.sign(data)
        return signature

    def sign(self, text: str) -> str:
        """The signature line of a head's text."""
        blob = self.verifier.key_id + self._key.sign(text.encode())
        return f"{_DASH}{self.verifier.name} {b64encode(blob).decode()}\n"


def _parse_private(text: str, file: Path) -> tuple[str, "Ed25519PrivateKey"]:
    # PRIVATE+KEY+name+hash+base64; base64 may hold a + itself.
    parts = text.split("+", 4)
    if text.startswith(f"{_PRIVATE}+") and len(parts) == 5:
        try:
            seed = b64decode(parts[4], validate=True)
        except ValueError:
            seed = b""
        if len(seed) == 33 and seed[:1] == _ED25519:
            key = _ed25519().Ed25519PrivateKey.from_private_bytes(seed[1:])
            if SigningKey(parts[2], key).verifier.key_id.hex() == parts[3]:
                return parts[2], key
    raise UsageError(f"{file} is no signing key", fix="make one: elspeth keys new")


def _ed25519() -> Any:
    """The library that signs; runs that don't sign need not have it."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(
            "signatures need the library cryptography", fix='pip install "elspeth[signing]"'
        ) from error
    return ed25519


def parse_verifier_key(text: str) -> VerifierKey:
    """A public key from its text. Raises UsageError if it is none, or is a private key."""
    text = text.strip()
    if text.startswith(_PRIVATE):
        raise UsageError(
            "that is a private key; checking needs the public one, and nobody needs this one but the signer",
            fix="give the file that ends in .pub",
        )
    parts = text.split("+", 2)
    if len(parts) == 3:
        try:
            blob = b64decode(parts[2], validate=True)
        except ValueError:
            blob = b""
        key = VerifierKey(parts[0], blob[1:])
        if len(blob) == 33 and blob[:1] == _ED25519 and key.key_id.hex() == parts[1]:
            return key
    raise UsageError("that is no public key: name+hash+base64 is expected", fix="see `elspeth keys new`")


def head_note(origin: str, size: int, root: bytes, key: SigningKey | None) -> str:
    """A head as text, signed if there is a key."""
    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n"
    return f"{text}\n{key.sign(text)}" if key else text


def parse_note(note: str) -> Checkpoint:
    """What a head's text says; no signature is checked. Raises NoteError if it is no head."""
    text, blank, rest = note.partition("\n\n")
    lines = text.removesuffix("\n").split("\n")
    if len(lines) != 3 or not lines[0] or not (lines[1].isascii() and lines[1].isdigit()):
        raise NoteError("a head has three lines: origin, number of leaves, root hash")
    if str(int(lines[1])) != lines[1]:
        raise NoteError("the number of leaves is not written as it should be")
    signatures = tuple(_signature(line) for line in rest.removesuffix("\n").split("\n")) if blank else ()
    found = Checkpoint(lines[0], int(lines[1]), _base64(lines[2]), "\n".join(lines) + "\n", signatures)
    if len(found.root) != 32 or not note.endswith("\n"):
        raise NoteError("the root hash is not whole")
    return found


def _signature(line: str) -> tuple[str, bytes]:
    name, _, blob = line.removeprefix(_DASH).partition(" ")
    signature = _base64(blob)
    if not line.startswith(_DASH) or not name or len(signature) < 5:
        raise NoteError("a line behind the blank one is no signature")
    return name, signature


def _base64(text: str) -> bytes:
    try:
        found = b64decode(text, validate=True)
    except ValueError as error:
        raise NoteError(f"{text[:40]!r} is not base64") from error
    if b64encode(found).decode() != text:
        raise NoteError(f"{text[:40]!r} is not base64 as it should be written")
    return found
