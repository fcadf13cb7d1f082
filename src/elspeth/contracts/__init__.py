"""What crosses a layer. Standard library only."""

from elspeth.contracts.enums import (
    CallStatus,
    CallType,
    Determinism,
    EdgeMode,
    NodeType,
    RoutingKind,
    RunMode,
    RunStatus,
    TerminalState,
)
from elspeth.contracts.errors import ElspethError
from elspeth.contracts.plugins import (
    Artifact,
    BatchTransform,
    ConcurrentTransform,
    PluginContext,
    Quarantined,
    Row,
    RowFailure,
    Sink,
    Source,
    Transform,
)
from elspeth.contracts.results import TransformResult
from elspeth.contracts.routing import RoutingAction
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.contracts.tokens import Token, TokenInfo

__all__ = [
    "Artifact",
    "BatchTransform",
    "CallStatus",
    "CallType",
    "ConcurrentTransform",
    "Determinism",
    "EdgeMode",
    "ElspethError",
    "FieldSpec",
    "FieldType",
    "NodeType",
    "PluginContext",
    "PluginSchema",
    "Quarantined",
    "RoutingAction",
    "RoutingKind",
    "Row",
    "RowFailure",
    "RunMode",
    "RunStatus",
    "SchemaMode",
    "Sink",
    "Source",
    "TerminalState",
    "Token",
    "TokenInfo",
    "Transform",
    "TransformResult",
]
