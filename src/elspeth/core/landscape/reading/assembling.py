"""Putting one row's lineage together from what is stored of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape import ids
from elspeth.core.landscape.reading.lineage import (
    Assignment,
    BatchMembership,
    Branch,
    Decision,
    End,
    MergeRecord,
    NodeStateRecord,
    RoutingEventRecord,
    RowLineage,
    TokenLineage,
)
from elspeth.core.landscape.reading.rebuild import TokenData, changes, rebuild
from elspeth.core.landscape.reading.stored import StoredEvent, StoredPath, StoredStep, StoredTrace, instant
from elspeth.core.landscape.records import CallRecord, EdgeRecord, ErrorRecord


@dataclass(frozen=True, slots=True)
class RowMaterial:
    """All that the database holds of one row.

    ``errors`` and ``calls`` go by state id; ``joins`` maps token number → ids of its parents,
    ``joined_into`` token number → ids of tokens that took it in,
    ``batches`` token number → its places in batches.
    """

    run_id: str
    traces: Sequence[StoredTrace]
    paths: Mapping[int, StoredPath]
    edges: Mapping[str, EdgeRecord]
    errors: Mapping[int, Sequence[ErrorRecord]]
    calls: Mapping[str, Sequence[CallRecord]]
    joins: Mapping[int, Sequence[str]]
    joined_into: Mapping[int, Sequence[str]]
    batches: Mapping[int, Sequence[BatchMembership]] = field(default_factory=dict)
    assignments: Sequence[Assignment] = ()


def token_id_of(run_id: str, trace: StoredTrace) -> str:
    """A trace's token id: the caller's own where the recorder was given one."""
    return trace.token_alias or ids.token_id(run_id, trace.row_no, trace.token_no)


def row_id_of(run_id: str, trace: StoredTrace) -> str:
    """A trace's row id: the caller's own where the recorder was given one."""
    return trace.row_alias or ids.row_id(run_id, trace.row_no)


def assemble(material: RowMaterial) -> RowLineage:
    """The row's lineage. Raises LandscapeError where the record contradicts itself."""
    run_id, first = material.run_id, material.traces[0]
    data = _rebuild_all(material)
    below: dict[int | None, list[TokenLineage]] = {}
    # Children have higher numbers than their parents, so from the last token backwards every
    # token's children are ready when its turn comes; no recursion, however deep the forks go.
    for trace in reversed(material.traces):
        children = tuple(reversed(below.pop(trace.token_no, [])))
        token = _token(material, trace, data[trace.token_no], children)
        below.setdefault(trace.parent_no, []).append(token)
    source = first if first.token_no == 0 else None
    return RowLineage(
        row_id=row_id_of(run_id, first),
        run_id=run_id,
        source_node_id=material.paths[first.path_no].source_node_id,
        row_index=first.row_no,
        source_data_hash=first.hash_at(0).hex() if source and first.hashes else "",
        created_at=instant(first.t0),
        source_data=data[0].start if source else None,
        roots=tuple(reversed(below.pop(None, []))),
        assignments=tuple(material.assignments),
    )


def _rebuild_all(material: RowMaterial) -> dict[int, TokenData]:
    data: dict[int, TokenData] = {}
    for trace in material.traces:
        parent = None
        if trace.parent_no is not None:
            if trace.parent_no >= trace.token_no or trace.parent_no not in data:
                raise LandscapeError(
                    f"run {material.run_id}, row {trace.row_no}: token {trace.token_no} has token "
                    f"{trace.parent_no} as its parent, which is not on record before it"
                )
            parent = data[trace.parent_no].last
        data[trace.token_no] = rebuild(material.run_id, trace, material.paths[trace.path_no], parent)
    return data


def _token(
    material: RowMaterial, trace: StoredTrace, data: TokenData, children: tuple[TokenLineage, ...]
) -> TokenLineage:
    run_id, path = material.run_id, material.paths[trace.path_no]
    own_id = token_id_of(run_id, trace)
    states = tuple(_state(own_id, trace, step, data, position) for position, step in enumerate(path.steps))
    events = tuple(_event(material, own_id, trace, path, event) for event in path.events)
    places = tuple(material.batches.get(trace.token_no, ()))
    parents = tuple(material.joins.get(trace.token_no, ())) or _members(path, places)
    if trace.parent_no is not None and not parents:
        parent = next(other for other in material.traces if other.token_no == trace.parent_no)
        parents = (token_id_of(run_id, parent),)
    row = f"{run_id}-{trace.row_no}"
    made_by_split = path.origin in ("fork", "expand")
    made_by_join = path.origin in ("join", "batch")
    own_end = End(own_id, path.outcome, path.sink_node_id)
    return TokenLineage(
        token_id=own_id,
        row_id=row_id_of(run_id, trace),
        token_no=trace.token_no,
        origin=path.origin,
        branch_name=path.branch_name,
        fork_group_id=f"{row}-{trace.parent_no}-{path.origin}" if made_by_split else None,
        join_group_id=f"{row}-{trace.token_no}-{path.origin}" if made_by_join else None,
        created_at=instant(trace.t0),
        start_data=data.start,
        states=states,
        events=events,
        decisions=_decisions(events, states, own_end, children),
        outcome=path.outcome,
        sink_name=path.sink_node_id,
        ended_at=instant(trace.last_micros) if path.ending else None,
        errors=tuple(material.errors.get(trace.token_no, ())),
        calls=tuple(call for state in states for call in material.calls.get(state.state_id, ())),
        parents=parents,
        children=children,
        joined_into=tuple(material.joined_into.get(trace.token_no, ())) or _results(path, places),
        merge=_merge(path),
        batches=places,
    )


def _members(path: StoredPath, places: Sequence[BatchMembership]) -> tuple[str, ...]:
    """What a batch's result was made of."""
    made = next((place for place in places if place.role == "out"), None) if path.origin == "batch" else None
    return () if made is None else made.batch.members


def _results(path: StoredPath, places: Sequence[BatchMembership]) -> tuple[str, ...]:
    """What came of the batch that took a token up for good."""
    taken = [place for place in places if place.role == "in"] if path.ending == "batched" else []
    return taken[-1].batch.results if taken else ()


def _merge(path: StoredPath) -> MergeRecord | None:
    facts = path.merge
    if facts is None:
        return None
    return MergeRecord(
        facts.get("coalesce", ""), facts["policy"], facts["merge"], tuple(facts["branches"]), facts["origins"]
    )


def _state(
    token_id: str, trace: StoredTrace, step: StoredStep, data: TokenData, position: int
) -> NodeStateRecord:
    started = trace.micros_at(step.start_slot)
    ended = None if step.end_slot is None else trace.micros_at(step.end_slot)
    here = data.steps[position]
    return NodeStateRecord(
        state_id=ids.state_id(token_id, step.step_index, step.attempt),
        token_id=token_id,
        node_id=step.node_id,
        step_index=step.step_index,
        attempt=step.attempt,
        status=step.status,
        input_hash="" if step.in_slot is None else trace.hash_at(step.in_slot).hex(),
        output_hash=None if step.out_slot is None else trace.hash_at(step.out_slot).hex(),
        started_at=instant(started),
        completed_at=None if ended is None else instant(ended),
        duration_ms=None if ended is None else (ended - started) / 1000,
        input_data=here.before,
        output_data=here.after,
        changes=changes(here, step),
    )


def _event(
    material: RowMaterial, token_id: str, trace: StoredTrace, path: StoredPath, event: StoredEvent
) -> RoutingEventRecord:
    step = path.steps[event.step_ordinal]
    state = ids.state_id(token_id, step.step_index, step.attempt)
    edge = material.edges.get(event.edge_id)
    return RoutingEventRecord(
        event_id=ids.event_id(state, event.ordinal),
        state_id=state,
        routing_group_id=ids.routing_group_id(state),
        ordinal=event.ordinal,
        edge_id=event.edge_id,
        from_node_id=step.node_id,
        to_node_id=edge.to_node_id if edge else "",
        label=edge.label if edge else "",
        mode=event.mode,
        reason_hash=event.reason_hash,
        reason=event.reason,
        created_at=None if step.end_slot is None else instant(trace.micros_at(step.end_slot)),
    )


def _decisions(
    events: Sequence[RoutingEventRecord],
    states: Sequence[NodeStateRecord],
    own_end: End,
    children: tuple[TokenLineage, ...],
) -> tuple[Decision, ...]:
    groups: dict[str, list[RoutingEventRecord]] = {}
    for event in events:
        groups.setdefault(event.state_id, []).append(event)
    last_state = states[-1].state_id if states else None
    forked = [child for child in children if child.origin == "fork"]
    leaves = tuple(end for child in children for end in child.ends()) or (own_end,)
    decisions = []
    for state_id, group in groups.items():
        # A fork ends its token, so only the last decision can have made children: one per event, in order.
        split = state_id == last_state and len(forked) == len(group)
        branches = tuple(
            Branch(event, forked[position].token_id, forked[position].ends())
            if split
            else Branch(event, own_end.token_id, leaves)
            for position, event in enumerate(group)
        )
        first = group[0]
        decisions.append(
            Decision(first.routing_group_id, state_id, first.from_node_id, first.mode, first.reason, branches)
        )
    return tuple(decisions)
