"""One module per kind of node: its step in the engine's bulk path, and its executor for single tokens."""

from elspeth.engine.executors.gate_executor import GateExecutor, GateResult
from elspeth.engine.executors.transform_executor import TransformExecutor

__all__ = ["GateExecutor", "GateResult", "TransformExecutor"]
