"""The closed vocabularies that several layers share."""

from enum import StrEnum


class RunStatus(StrEnum):
    """How a run stands; all but ``RUNNING`` are final until somebody resumes it."""

    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    FAILED = "failed"
    EMPTY = "empty"
    INTERRUPTED = "interrupted"


class RunMode(StrEnum):
    """Whether external calls are made, answered from the record, or made and compared."""

    LIVE = "live"
    REPLAY = "replay"
    VERIFY = "verify"


class NodeType(StrEnum):
    """What a node of the graph is."""

    SOURCE = "source"
    QUEUE = "queue"
    TRANSFORM = "transform"
    GATE = "gate"
    AGGREGATION = "aggregation"
    COALESCE = "coalesce"
    SINK = "sink"


class EdgeMode(StrEnum):
    """What an edge does with a token: take it along, copy it, or take it away after an error."""

    MOVE = "move"
    COPY = "copy"
    DIVERT = "divert"


class RoutingKind(StrEnum):
    """The three decisions that a gate can take."""

    CONTINUE = "continue"
    ROUTE_TO_SINK = "route_to_sink"
    FORK_TO_PATHS = "fork_to_paths"


class TerminalState(StrEnum):
    """How a token ended. Derived from the record, never stored."""

    COMPLETED = "COMPLETED"
    ROUTED = "ROUTED"
    FORKED = "FORKED"
    EXPANDED = "EXPANDED"
    COALESCED = "COALESCED"
    CONSUMED_IN_BATCH = "CONSUMED_IN_BATCH"
    QUARANTINED = "QUARANTINED"
    FAILED = "FAILED"
    DISCARDED = "DISCARDED"


class Determinism(StrEnum):
    """What a plugin's output depends on, weakest promise last.

    A run is exactly repeatable when every node is ``DETERMINISTIC`` or ``SEEDED``; the other
    kinds need the record of the run (files read, calls made) to be repeated.
    """

    DETERMINISTIC = "deterministic"
    SEEDED = "seeded"
    IO_DEPENDENT = "io_dependent"
    EXTERNAL_CALL = "external_call"
    NON_DETERMINISTIC = "non_deterministic"


class CallType(StrEnum):
    """What kind of outside system a call went to."""

    LLM = "llm"
    HTTP = "http"
    BLOB = "blob"
    ARM = "arm"
    SQL = "sql"
    FILESYSTEM = "filesystem"


class CallStatus(StrEnum):
    """Whether an external call was answered."""

    SUCCESS = "success"
    ERROR = "error"
