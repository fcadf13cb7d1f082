"""Node states and routing events of single tokens: appended to the token's own path and trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, func, insert, select, update

from elspeth.contracts.errors import CanonicalError
from elspeth.contracts.plugins import Row
from elspeth.core.canonical import canonical, dump, dump_values, row_digest
from elspeth.core.landscape import ids
from elspeth.core.landscape.reading.rebuild import rebuild
from elspeth.core.landscape.reading.stored import PathCache, read_traces
from elspeth.core.landscape.stepwise.tokens import (
    RecordError,
    TokenAt,
    change_path,
    change_trace,
    own_path,
    require_open,
    with_time,
)
from elspeth.core.landscape.tables import (
    batch_tokens_table,
    edges_table,
    errors_table,
    joins_table,
    path_events_table,
    path_steps_table,
    traces_table,
)

_step, _event, _trace = path_steps_table.c, path_events_table.c, traces_table.c
_join, _part = joins_table.c, batch_tokens_table.c
RUNNING, COMPLETED, FAILED, LATE = "running", "completed", "failed", "late"


@dataclass(frozen=True, slots=True)
class StateStart:
    """What is known when a token comes to a node.

    ``input_data`` is None where it is what the token had at last (or is not known at all).
    ``step_index`` and ``attempt`` are counted on if they are not given; an attempt that is on
    record already gets the next number, so that no two states have one id.
    """

    node_id: str
    input_data: Row | None = None
    step_index: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class StateEnd:
    """How a state ended: with ``error`` it failed, and the row went to ``destination`` if anywhere.

    ``output_data`` is None where the row was not changed. ``kind`` is validation (at a source) or
    transform. ``late``: it came to a join that was over; the status is then ``late``, not ``failed``.
    """

    output_data: Row | None = None
    error: Mapping[str, Any] | None = None
    destination: str = ""
    kind: str = "transform"
    late: bool = False


def current_row(connection: Connection, token: TokenAt) -> Row | None:
    """The token's row as the last step left it, rebuilt and checked; None if it is not known."""
    traces = {trace.token_no: trace for trace in read_traces(connection, token.run_no, token.row_no)}
    paths = PathCache().read(connection, token.run_no, {trace.path_no for trace in traces.values()})
    trace = traces[token.token_no]
    chain = [trace]
    while paths[trace.path_no].origin == "fork" and trace.payload is None and trace.parent_no is not None:
        trace = traces[trace.parent_no]
        chain.append(trace)
    row: Row | None = None
    for trace in reversed(chain):
        row = rebuild(token.run_id, trace, paths[trace.path_no], row).last
    return row


def begin(connection: Connection, token: TokenAt, start: StateStart, now: int) -> str:
    """Put down that a token came to a node, as a ``running`` state; returns the state's id.

    A token that has ended in a sink may still come to that sink's own node. Raises RecordError
    for any other token that has ended, CanonicalError for an input that can't be recorded.
    """
    if token.ending != "sink" or token.sink_node_id != start.node_id:
        require_open(token)
    token = own_path(connection, token)
    steps = _steps(connection, token)
    step_index, attempt = _place(connection, token, steps, start)
    before = current_row(connection, token)
    given = start.input_data
    trace: dict[str, Any] = {}
    delta, in_slot = None, _last_slot(steps) if before is not None else None
    if given is not None and before is None and not steps:
        trace = {"payload": dump(given).decode(), "hashes": row_digest(given)}
        in_slot = 0
    elif given is not None and (before is None or dump(given) != dump(before)):
        # The caller did something to the row between two steps: what this step really got is kept.
        deltas, slot = _appended(token.deltas, dump(given))
        trace = {"deltas": deltas, "hashes": token.hashes + row_digest(given)}
        delta = {"fields": None, "set": None, "input": slot}
        in_slot = token.hash_count
    times, start_slot = with_time(token, now)
    change_trace(connection, token, times=times, **trace)
    leave_behind(connection, token, start.node_id)
    connection.execute(
        insert(path_steps_table).values(
            run_no=token.run_no, path_no=token.path_no, ordinal=len(steps), step_index=step_index,
            node_id=start.node_id, attempt=attempt, status=RUNNING, in_slot=in_slot, start_slot=start_slot,
            delta=None if delta is None else orjson.dumps(delta).decode(),
        )
    )  # fmt: skip
    return ids.state_id(token.token_id, step_index, attempt)


def finish(connection: Connection, token: TokenAt, state_id: str, outcome: StateEnd, now: int) -> None:
    """Put down how a running state ended.

    Raises RecordError if there is no such running state, or an output where no input is known;
    CanonicalError for an output that can't be recorded.
    """
    step = _find(connection, token, state_id)
    if step["status"] != RUNNING:
        raise RecordError(f"state {state_id!r} has ended already ({step['status']})")
    values: dict[str, Any] = {"status": COMPLETED, "out_slot": step["in_slot"]}
    trace: dict[str, Any] = {}
    if outcome.error is not None:
        values = {"status": LATE if outcome.late else FAILED, "out_slot": None}
        _put_error(connection, token, step, outcome, now)
    elif outcome.output_data is not None:
        before = current_row(connection, token)
        if before is None:
            raise RecordError(
                f"state {state_id!r} has an output but no input", fix="give input_data when the state begins"
            )
        if dump(outcome.output_data) != dump(before):
            change, trace = _change(token, step, before, outcome.output_data)
            values |= change
    times, values["end_slot"] = with_time(token, now)
    change_trace(connection, token, times=times, **trace)
    _change_step(connection, token, step["ordinal"], values)


def add_events(
    connection: Connection, token: TokenAt, state_id: str, edges: Sequence[tuple[str, str]], reason: Any
) -> str:
    """Put down which edges (id, mode) a decision chose, and why; returns the decision's group id.

    A move or a diversion takes the token along, and so is the edge on which it left.
    """
    token = own_path(connection, token)
    step = _find(connection, token, state_id)
    mine = (_event.run_no == token.run_no) & (_event.path_no == token.path_no)
    here = mine & (_event.step_ordinal == step["ordinal"])
    count = connection.execute(select(func.count()).select_from(path_events_table).where(here)).scalar_one()
    text = None if reason is None else reason_text(reason)
    hashed = None if text is None else sha256(text.encode()).hexdigest()
    for number, (edge_id, mode) in enumerate(edges, start=count):
        connection.execute(
            insert(path_events_table).values(
                run_no=token.run_no, path_no=token.path_no, step_ordinal=step["ordinal"], ordinal=number,
                edge_id=edge_id, mode=mode, reason_hash=hashed, reason=text,
            )
        )  # fmt: skip
        if mode != "copy":
            change_path(connection, token, last_edge_id=edge_id)
    return ids.routing_group_id(state_id)


def reason_text(reason: Any) -> str:
    """The stored form of a reason: canonical JSON, or what it looks like where it has no such form."""
    try:
        return canonical(dict(reason) if isinstance(reason, Mapping) else reason).decode()
    except CanonicalError as error:
        return orjson.dumps({"error": ascii(reason), "unreadable": error.what}).decode()


def _steps(connection: Connection, token: TokenAt) -> list[RowMapping]:
    mine = (_step.run_no == token.run_no) & (_step.path_no == token.path_no)
    query = select(path_steps_table).where(mine).order_by(_step.ordinal)
    return list(connection.execute(query).mappings())


def _find(connection: Connection, token: TokenAt, state_id: str) -> RowMapping:
    key = ids.parse_state_id(state_id)
    for step in _steps(connection, token):
        if key is not None and (step["step_index"], step["attempt"]) == (key.step_index, key.attempt):
            return step
    raise RecordError(f"token {token.token_id!r} has no state {state_id!r} on record")


def _place(
    connection: Connection, token: TokenAt, steps: Sequence[RowMapping], start: StateStart
) -> tuple[int, int]:
    index = start.step_index
    if index is None:
        index = 1 + (
            max(step["step_index"] for step in steps) if steps else _index_of_parent(connection, token)
        )
    taken = [step["attempt"] for step in steps if step["step_index"] == index]
    attempt = start.attempt or 1
    return index, attempt if attempt not in taken else max(taken) + 1


def _index_of_parent(connection: Connection, token: TokenAt) -> int:
    """The last step index of the token's forebears: a child counts on from there.

    Of several parents the one with the most steps counts, so that no step is before one of these.
    """
    places = [(token.row_no, token.token_no)]
    while places:
        parents = [parent for place in places for parent in _parents(connection, token.run_no, place)]
        last = [_last_index(connection, token.run_no, parent) for parent in parents]
        known = [index for index in last if index is not None]
        if known:
            return max(known)
        places = parents
    return -1


def _parents(connection: Connection, run_no: int, place: tuple[int, int]) -> list[tuple[int, int]]:
    row_no, token_no = place
    joined = select(_join.parent_row_no, _join.parent_token_no).where(
        _join.run_no == run_no, _join.row_no == row_no, _join.token_no == token_no
    )
    mine = (_part.run_no == run_no) & (_part.row_no == row_no) & (_part.token_no == token_no)
    # A token that a batch passed on is a member and a result of it, and was not made there.
    passed = select(_part.batch_no).where(mine, _part.role == "in")
    batches = select(_part.batch_no).where(mine, _part.role == "out", _part.batch_no.not_in(passed))
    made_of = select(_part.row_no, _part.token_no).where(
        _part.run_no == run_no, _part.role == "in", _part.batch_no.in_(batches)
    )
    parent = select(_trace.row_no, _trace.parent_no).where(
        _trace.run_no == run_no, _trace.row_no == row_no, _trace.token_no == token_no,
        _trace.parent_no.is_not(None),
    )  # fmt: skip
    found = {(row[0], row[1]) for query in (joined, made_of, parent) for row in connection.execute(query)}
    return list(found)


def _last_index(connection: Connection, run_no: int, place: tuple[int, int]) -> int | None:
    path = select(_trace.path_no).where(
        _trace.run_no == run_no, _trace.row_no == place[0], _trace.token_no == place[1]
    )
    where = (_step.run_no == run_no) & (_step.path_no == path.scalar_subquery())
    return connection.execute(select(func.max(_step.step_index)).where(where)).scalar()


def _last_slot(steps: Sequence[RowMapping]) -> int:
    """The slot of the hash of the row as it is: the last output, or a failed step's input, or the start."""
    for step in reversed(steps):
        slot = step["out_slot"] if step["out_slot"] is not None else step["in_slot"]
        if slot is not None:
            return int(slot)
    return 0


def leave_behind(connection: Connection, token: TokenAt, node_id: str) -> None:
    """Forget the edge that the token left by, if it did not lead to this node: it went another way."""
    if token.last_edge_id is None:
        return
    mine = select(edges_table.c.to_node_id).where(edges_table.c.edge_id == token.last_edge_id)
    if connection.execute(mine).scalar() != node_id:
        change_path(connection, token, last_edge_id=None)


def _change(
    token: TokenAt, step: RowMapping, before: Row, after: Row
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What to set on the step and on the trace for a row that came out changed."""
    changed = [
        name for name, value in after.items() if name not in before or dump(value) != dump(before[name])
    ]
    deltas, slot = _appended(token.deltas, dump_values([after[name] for name in changed])[1:-1])
    delta = {**(orjson.loads(step["delta"]) if step["delta"] else {}), "fields": list(after), "set": changed}
    on_step = {"out_slot": token.hash_count, "delta": orjson.dumps(delta).decode(), "delta_slot": slot}
    return on_step, {"deltas": deltas, "hashes": token.hashes + row_digest(after)}


def _appended(deltas: str | None, entries: bytes) -> tuple[str, int]:
    """The JSON array with more entries, and the place of the first. The text is kept as it is."""
    known = len(orjson.loads(deltas)) if deltas else 0
    before = deltas[:-1] if deltas else "["
    return f"{before}{',' if known and entries else ''}{entries.decode()}]", known


def _change_step(connection: Connection, token: TokenAt, ordinal: int, values: Mapping[str, Any]) -> None:
    mine = (_step.run_no == token.run_no) & (_step.path_no == token.path_no) & (_step.ordinal == ordinal)
    connection.execute(update(path_steps_table).where(mine).values(values))


def _put_error(connection: Connection, token: TokenAt, step: RowMapping, outcome: StateEnd, now: int) -> None:
    connection.execute(
        insert(errors_table).values(
            run_no=token.run_no, row_no=token.row_no, token_no=token.token_no, step_index=step["step_index"],
            attempt=step["attempt"], node_id=step["node_id"], kind=outcome.kind,
            reason=reason_text(outcome.error), destination=outcome.destination, t=now,
        )
    )  # fmt: skip


def failed_last(connection: Connection, token: TokenAt) -> tuple[str, str] | None:
    """The id and the node of the token's last state, if it failed and no routing event says where it went."""
    steps = _steps(connection, token)
    if not steps or steps[-1]["status"] != FAILED:
        return None
    last = steps[-1]
    mine = (_event.run_no == token.run_no) & (_event.path_no == token.path_no)
    here = (
        select(func.count())
        .select_from(path_events_table)
        .where(mine, _event.step_ordinal == last["ordinal"])
    )
    if connection.execute(here).scalar_one():
        return None
    return ids.state_id(token.token_id, last["step_index"], last["attempt"]), last["node_id"]
