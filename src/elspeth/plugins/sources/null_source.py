"""The ``null`` source: no rows."""

from collections.abc import Iterator, Mapping
from typing import Any

from elspeth.contracts.enums import Determinism
from elspeth.contracts.plugins import PluginContext, Quarantined, Row
from elspeth.plugins.sources.base import BaseSource


class NullSource(BaseSource):
    """Yields nothing: for pipelines that only need their plan, or whose rows come from elsewhere."""

    name = "null"
    determinism = Determinism.DETERMINISTIC

    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        """No rows."""
        return iter(())

    def position(self) -> Mapping[str, Any]:
        """There is only one."""
        return {}

    def seek(self, position: Mapping[str, Any]) -> None:
        """There is nowhere to go."""

    def size_hint(self) -> int:
        """None at all."""
        return 0
