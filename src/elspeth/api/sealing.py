"""How the landscape of a run is sealed: the key that signs its heads, and where they are anchored."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elspeth.api.anchors import open_anchor
from elspeth.api.keys import KEY_VARIABLE
from elspeth.core.config.runtime import LandscapeSettings
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.anchors import Anchor
from elspeth.core.landscape.ledger.heads import SigningKey


@dataclass(frozen=True, slots=True)
class Sealing:
    """The key (None: heads are not signed) and the anchors of one run."""

    key: SigningKey | None
    anchors: Sequence[Anchor]

    def of(self, db: LandscapeDB) -> None:
        """Let this landscape be sealed so."""
        db.proof.key, db.proof.anchors = self.key, self.anchors


def sealing(settings: LandscapeSettings, environ: Mapping[str, str] | None = None) -> Sealing:
    """What ``landscape.signing_key`` (else ELSPETH_SIGNING_KEY) and ``landscape.anchor`` ask for.

    Raises UsageError for a key that is not there, is none, or that others may read, and LandscapeError for
    an anchor that can't be written to: before anything is written.
    """
    path = settings.signing_key or (os.environ if environ is None else environ).get(KEY_VARIABLE)
    key = SigningKey.load(path) if path else None
    return Sealing(key, (open_anchor(settings.anchor),) if settings.anchor else ())
