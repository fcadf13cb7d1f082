"""One module per kind of node: its step in the engine's bulk path, and its executor for single tokens.

The executors for single tokens are loaded when they are first asked for: they bring the recorder
and SQLAlchemy with them, which `elspeth validate` has no use for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elspeth.engine.executors.gate_executor import GateExecutor, GateResult
    from elspeth.engine.executors.transform_executor import TransformExecutor

__all__ = ["GateExecutor", "GateResult", "TransformExecutor"]


def __getattr__(name: str) -> Any:
    home = {"GateExecutor": "gate", "GateResult": "gate", "TransformExecutor": "transform"}.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"elspeth.engine.executors.{home}_executor"), name)
