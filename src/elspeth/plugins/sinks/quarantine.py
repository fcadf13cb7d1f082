"""The sink that exists without being asked for: rows that failed, with the reason, beside the audit trail."""

from collections.abc import Sequence
from pathlib import Path

from elspeth.contracts.plugins import Artifact, PluginContext
from elspeth.plugins.sinks.json_sink import JsonSink


class QuarantineSink(JsonSink):
    """JSONL in ``quarantine-RUN.jsonl``, one object per row; no file where there is nothing to write."""

    name = "json"

    def __init__(self, directory: Path) -> None:
        super().__init__({"path": str(directory / "quarantine.jsonl"), "format": "jsonl"})

    def on_start(self, ctx: PluginContext) -> None:
        """Take the run's own file. Raises SinkError if it can't be written."""
        self._target = self._target.with_name(f"quarantine-{ctx.run_id}.jsonl")
        super().on_start(ctx)

    def publish(self) -> Artifact:
        """As for every file sink, if there is anything."""
        if self._rows == 0:
            return Artifact(str(self._target), None, None, 0)
        return super().publish()

    def targets(self) -> Sequence[str]:
        """None that could be known before the run."""
        return []
