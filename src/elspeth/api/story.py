"""What an explanation holds, apart from how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from elspeth.core.landscape.reading.lineage import RowLineage
from elspeth.core.landscape.records import ArtifactRecord, NodeRecord, RunRecord


@dataclass(frozen=True, slots=True)
class Story:
    """Rows of one run with all that is needed to tell what happened to them.

    ``token_id`` is the token that was asked for, if one was; its row is there as a whole. ``nodes``
    and ``artifacts`` go by node id; a sink that has published nothing has no artifact. ``more`` says
    that further rows match. ``purged_at`` is when the contents of the rows were taken away, if they were.
    """

    run: RunRecord
    rows: tuple[RowLineage, ...]
    nodes: Mapping[str, NodeRecord]
    artifacts: Mapping[str, ArtifactRecord]
    token_id: str | None = None
    more: bool = False
    purged_at: datetime | None = None
