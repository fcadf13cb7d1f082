"""The proof that the audit trail is what it was: a Merkle tree per run over every record."""

from elspeth.core.landscape.ledger.growth import Written
from elspeth.core.landscape.ledger.heads import Head, SigningKey, VerifierKey
from elspeth.core.landscape.ledger.sealing import Proof

__all__ = ["Head", "Proof", "SigningKey", "VerifierKey", "Written"]
