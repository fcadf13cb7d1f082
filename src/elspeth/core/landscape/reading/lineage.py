"""One row's story as values: its tokens as a tree, their steps, decisions, errors, calls and ends."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from elspeth.core.landscape.records import CallRecord, ErrorRecord

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a step did to its row: new fields, old → new values (pairs), and what was dropped."""

    added: Data
    changed: Mapping[str, tuple[Any, Any]]
    removed: Data

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class NodeStateRecord:
    """One attempt of one token at one node.

    ``input_data`` and ``output_data`` were rebuilt and agree with the recorded hashes; they are
    None where the payload was purged, ``output_data`` and ``changes`` also where the step gave none.
    """

    state_id: str
    token_id: str
    node_id: str
    step_index: int
    attempt: int
    status: str
    input_hash: str
    output_hash: str | None
    started_at: datetime
    completed_at: datetime | None
    duration_ms: float | None
    input_data: Data | None
    output_data: Data | None
    changes: Changes | None


@dataclass(frozen=True, slots=True)
class RoutingEventRecord:
    """One edge that a decision chose. Events with one ``routing_group_id`` are one decision."""

    event_id: str
    state_id: str
    routing_group_id: str
    ordinal: int
    edge_id: str
    from_node_id: str
    to_node_id: str
    label: str
    mode: str
    reason_hash: str | None
    reason: Any
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class End:
    """Where a token ended: its terminal state (None while it is on its way) and its sink if there is one."""

    token_id: str
    outcome: str | None
    sink_name: str | None


@dataclass(frozen=True, slots=True)
class Branch:
    """One destination of a decision: the token that took it, and where that token, or its children, ended.

    ``token_id`` is the child that was made for a copy, and the deciding token itself for a move.
    """

    event: RoutingEventRecord
    token_id: str
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one node, with all its destinations: each is what else happened to the others."""

    routing_group_id: str
    state_id: str
    node_id: str
    mode: str
    reason: Any
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """How a coalesce made a row of several.

    ``branches`` are those that had arrived, in the order of the settings and of the token's parents;
    ``origins`` names, for each field, the branch that its value came from.
    """

    coalesce: str
    policy: str
    merge: str
    branches: tuple[str, ...]
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch of an aggregation: the tokens that it took up and those that came of it, in order.

    ``trigger_type`` is count, timeout, condition or end_of_source. With ``output_mode:
    passthrough`` members and results are the same tokens; a failed batch has no results.
    """

    batch_id: str
    node_id: str
    trigger_type: str
    status: str
    created_at: datetime
    completed_at: datetime | None
    members: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchMembership:
    """A token's part in a batch: ``role`` is ``in`` for a member and ``out`` for a result."""

    role: str
    ordinal: int
    batch: BatchRecord


@dataclass(frozen=True, slots=True)
class TokenLineage:
    """One token. ``origin`` is None for the row as it was read, else fork, expand, join or batch.

    ``parents`` are token ids (several for a join); ``children`` are the tokens of the same row that
    this one is the first parent of; ``joined_into`` names tokens that took this one in as one of
    several. ``merge`` is set for a joined token, ``batches`` for members and results of batches.
    """

    token_id: str
    row_id: str
    token_no: int
    origin: str | None
    branch_name: str | None
    fork_group_id: str | None
    join_group_id: str | None
    created_at: datetime
    start_data: Data | None
    states: tuple[NodeStateRecord, ...]
    events: tuple[RoutingEventRecord, ...]
    decisions: tuple[Decision, ...]
    outcome: str | None
    sink_name: str | None
    ended_at: datetime | None
    errors: tuple[ErrorRecord, ...]
    calls: tuple[CallRecord, ...]
    parents: tuple[str, ...]
    children: tuple["TokenLineage", ...]
    joined_into: tuple[str, ...]
    merge: MergeRecord | None = None
    batches: tuple[BatchMembership, ...] = ()

    @property
    def end(self) -> End:
        """Where this token itself ended."""
        return End(self.token_id, self.outcome, self.sink_name)

    def walk(self) -> Iterator["TokenLineage"]:
        """This token and all below it, parents first."""
        waiting = [self]
        while waiting:
            token = waiting.pop()
            yield token
            waiting.extend(reversed(token.children))

    def ends(self) -> tuple[End, ...]:
        """Where it all ended: the tokens at or below this one that have no children."""
        return tuple(token.end for token in self.walk() if not token.children)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A row's variant in one experiment. Buckets are None where a caller of the recorder did not say."""

    experiment_id: str
    variant_id: str
    unit: str | None
    bucket: int | None
    sub_bucket: int | None
    phase: str | None
    transform_overrides: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowLineage:
    """Everything that is known of one source row.

    ``source_data`` is None if its payload was purged. ``roots`` has one token, or more where a
    caller of the recorder made several tokens of the row. What a batch gave belongs to the row of
    the batch's first member.
    """

    row_id: str
    run_id: str
    source_node_id: str | None
    row_index: int
    source_data_hash: str
    created_at: datetime
    source_data: Data | None
    roots: tuple[TokenLineage, ...]
    assignments: tuple[Assignment, ...] = ()

    @property
    def tokens(self) -> tuple[TokenLineage, ...]:
        """All tokens of the row, parents before children."""
        return tuple(token for root in self.roots for token in root.walk())

    def token(self, token_id: str) -> TokenLineage | None:
        """The token with this id, if it belongs to this row."""
        return next((token for token in self.tokens if token.token_id == token_id), None)
