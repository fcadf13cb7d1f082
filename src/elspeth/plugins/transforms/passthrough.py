"""``passthrough``: rows go on as they came."""

from typing import ClassVar

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.results import TransformResult
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.transforms.base import BaseTransform


class Passthrough(BaseTransform):
    """Hand on every row unchanged: a named point of the graph, for wiring and for tests."""

    name: ClassVar[str] = "passthrough"

    def output_schema(self, incoming: PluginSchema) -> PluginSchema:
        """The rows keep their shape."""
        return incoming

    def process(self, row: Row, ctx: PluginContext) -> TransformResult:
        """The row itself."""
        return TransformResult.success(row)
