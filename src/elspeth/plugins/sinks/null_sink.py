"""The ``null`` sink: takes everything, keeps nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.plugins.sinks.base import BaseSink


class NullSink(BaseSink):
    """Counts rows and forgets them. They are on record all the same."""

    name = "null"

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._rows = 0

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Count them."""
        self._rows += len(rows)
        return ()

    def position(self) -> Mapping[str, Any]:
        """How many there were."""
        return {"rows": self._rows}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on counting."""
        self._rows = position.get("rows", 0)

    def publish(self) -> Artifact:
        """Nothing to see."""
        return Artifact("null:", None, None, self._rows)
