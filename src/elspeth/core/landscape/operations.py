"""What is done to things outside, on record like rows: an operation is a run, each thing it touches a row.

So an operation needs no tables of its own: its calls hang on the states of its rows, plans, approvals and
results are events of its run, and views, lineage, proof, export and purge are those of every run. Only
``latest`` passes it over.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from random import SystemRandom
from typing import Any

from sqlalchemy import and_, or_, select

from elspeth.contracts.enums import CallStatus, CallType, Determinism, EdgeMode, NodeType, RunStatus
from elspeth.contracts.errors import LandscapeError
from elspeth.contracts.version import __version__
from elspeth.core.canonical import canonical, digest
from elspeth.core.clock import Clock
from elspeth.core.landscape import ids
from elspeth.core.landscape.calls.journal import CallJournal, JournalCall
from elspeth.core.landscape.calls.log import ExternalCall
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.leases import SILENCE, Lease, RunHeldError, this_process
from elspeth.core.landscape.recorder import EdgeStart, LandscapeRecorder, NodeStart, RunStart, note_event
from elspeth.core.landscape.runs import OPERATION
from elspeth.core.landscape.stepwise.states import StateEnd, StateStart
from elspeth.core.landscape.tables import leases_table, runs_table

PLAN, DONE, FAILED = "plan", "done", "failed"
BEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class OperationStart:
    """What is about to be done. ``settings`` must hold no secrets.

    ``kind`` is what people call it (``fleet apply``), ``subject`` names what it is done to, the same in every
    operation; ``actions`` are what may be done to one thing.
    """

    kind: str
    subject: str
    settings: Mapping[str, Any]
    plugin: str
    actions: Sequence[str] = ("create", "change", "delete")

    @property
    def name(self) -> str:
        """What stands where other runs have their pipeline file."""
        return f"{self.kind} {self.subject}"


@dataclass(slots=True)
class Unit:
    """One thing that is being changed; put what came of it in ``facts``."""

    state_id: str
    facts: dict[str, Any] = field(default_factory=dict)


class Operation:
    """An operation under way. Threads may share it; made by `operation`."""

    def __init__(self, recorder: LandscapeRecorder, run_id: str, lease: Lease, plugin: str) -> None:
        self.run_id = run_id
        self.failures = 0
        self._recorder = recorder
        self._lease = lease
        self._plugin = plugin
        self._journal = CallJournal(recorder.db, recorder.clock)
        self._here = threading.local()
        self._lock = threading.Lock()
        self._rows = 0
        self._calls: dict[str, int] = {}
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="elspeth-operation", daemon=True)
        self._heart.start()

    def note(self, kind: str, detail: Mapping[str, Any]) -> str:
        """Put a plan, an approval, a decision or a result on record; the SHA-256 (hex) of ``detail``."""
        clean = self._recorder.db.redactor.tree(detail)
        text = canonical(clean)
        with self._lock, self._recorder.db.writing() as connection:
            now = self._recorder.clock.now()
            note_event(connection, self._lease.run_no, kind, clean, now)
        return sha256(text).hexdigest()

    @contextmanager
    def unit(self, name: str, action: str, facts: Mapping[str, Any]) -> Iterator[Unit]:
        """One thing that is changed inside: that it will be is on record, durably, before the block begins.

        Calls made by this thread inside belong to it. An exception is its failure, and goes on.
        """
        db, recorder = self._recorder.db, self._recorder
        with self._lock:
            number, self._rows = self._rows, self._rows + 1
        data = db.redactor.tree({"name": name, "action": action, **facts})
        # The row's id begins with the name, so that all that was ever done to a thing is found by it.
        row = recorder.create_row(self.run_id, PLAN, number, data, unit_id(name, self.run_id, number))
        unit = Unit(recorder.begin_node_state(row.token_id, StateStart(action)))
        self._here.state, self._here.name = unit.state_id, name
        try:
            yield unit
        except BaseException as error:
            with self._lock:
                self.failures += 1
            self._journal.flush()
            reason = {"error": db.redactor.text(_told(error))}
            recorder.complete_node_state(unit.state_id, StateEnd(error=reason, destination=FAILED))
            recorder.record_arrival(row.token_id, FAILED)
            raise
        else:
            self._journal.flush()
            after = {**data, **db.redactor.tree(unit.facts)}
            recorder.complete_node_state(unit.state_id, StateEnd(output_data=after))
            recorder.record_arrival(row.token_id, DONE)
        finally:
            self._here.state = self._here.name = None

    def intend(self, method: str, path: str) -> None:
        """What is at ``path`` is about to be changed: on record before it is.

        What bears the name of the unit that this thread is in is on record with that already.
        """
        unit = getattr(self._here, "name", None)
        if unit is None or unit not in path:
            self.note("intent", {"method": method, "path": path, **({"unit": unit} if unit else {})})

    def record_call(self, call: ExternalCall, *, durable: bool = False) -> None:
        """Put a call down with the unit that this thread is in, else with the operation.

        ``durable``: return when it is; otherwise that takes some milliseconds.
        """
        state = getattr(self._here, "state", None) or f"{self.run_id}-{self._plugin}"
        with self._lock:
            index = self._calls.get(state, 0)
            self._calls[state] = index + 1
        clean = self._recorder.db.redactor.tree
        self._journal.put(
            JournalCall(
                self.run_id, state, index, CallStatus(call.status), canonical(clean(call.request)).decode(),
                response=None if call.response is None else canonical(clean(call.response)).decode(),
                error=None if call.error is None else canonical(clean(call.error)).decode(),
                call_type=CallType(call.call_type), provider=call.provider, attempt=call.attempt,
                latency_ms=call.latency_ms, operation=call.operation,
            )
        )  # fmt: skip
        if durable:
            self._journal.flush()

    def finish(self, status: RunStatus, error: str | None = None) -> None:
        """Put down how it ended. Raises LandscapeError."""
        self._ended.set()
        self._heart.join()
        self._journal.close()
        self._recorder.finish_run(self.run_id, status, error=error, lease=self._lease)

    def _beat(self) -> None:
        # Azure may let us wait for minutes, and whoever is silent for one counts as dead.
        while not self._ended.wait(BEAT_S):
            with suppress(LandscapeError):  # if it stays so, the next record says it
                self._recorder.keep_run(self._lease)


@contextmanager
def operation(db: LandscapeDB, start: OperationStart, clock: Clock | None = None) -> Iterator[Operation]:
    """An operation on record from here to the end of the block; how the block ends is how the operation does.

    Operations whose process died are closed as interrupted first. Raises LandscapeError when the database
    refuses.
    """
    recorder = LandscapeRecorder(db, clock)
    begun = _begin(recorder, start)
    try:
        yield begun
    except KeyboardInterrupt:
        begun.finish(RunStatus.INTERRUPTED, "stopped by a signal")
        raise
    except BaseException as error:
        begun.finish(RunStatus.FAILED, _told(error))
        raise
    else:
        begun.finish(RunStatus.COMPLETED_WITH_FAILURES if begun.failures else RunStatus.COMPLETED)


def unit_id(name: str, run_id: str, number: int) -> str:
    """The row id of a thing in an operation."""
    return f"{name}@{run_id}-{number}"


def _told(error: BaseException) -> str:
    return str(getattr(error, "what", None) or error or type(error).__name__)


def _begin(recorder: LandscapeRecorder, start: OperationStart) -> Operation:
    run_id = ids.new_run_id(recorder.clock.now, SystemRandom())
    config = digest(dict(start.settings)).hex()
    run_no = recorder.begin_run(
        RunStart(run_id, start.settings, config, start.name, OPERATION, __version__),
        _nodes(start),
        _edges(start, run_id),
    )
    lease = recorder.hold_run(run_no)
    _close_dead(recorder)
    return Operation(recorder, run_id, lease, start.plugin)


def _close_dead(recorder: LandscapeRecorder) -> None:
    """Close what processes that died left running; nothing of this process is."""
    run, lease = runs_table.c, leases_table.c
    long_ago = recorder.clock.now() - SILENCE
    query = (
        select(run.run_no, run.run_id)
        .join(leases_table, lease.run_no == run.run_no, isouter=True)
        .where(run.run_mode == OPERATION, run.status == RunStatus.RUNNING)
        # One without a lease has perhaps just begun, and is about to take it.
        .where(or_(lease.owner != this_process(), and_(lease.owner.is_(None), run.started_at < long_ago)))
    )
    with recorder.db.reading() as connection:
        found = connection.execute(query).all()
    for number, run_id in found:
        try:
            taken = recorder.hold_run(number)
        except RunHeldError:
            continue
        recorder.finish_run(run_id, RunStatus.INTERRUPTED, error="its process died", lease=taken)


def _nodes(start: OperationStart) -> list[NodeStart]:
    kinds = [
        (PLAN, NodeType.SOURCE),
        *((action, NodeType.TRANSFORM) for action in start.actions),
        (DONE, NodeType.SINK),
        (FAILED, NodeType.SINK),
    ]
    nothing = digest({}).hex()
    return [
        NodeStart(
            node_id, start.plugin, kind, __version__, Determinism.EXTERNAL_CALL, nothing, {}, sequence
        )
        for sequence, (node_id, kind) in enumerate(kinds)
    ]  # fmt: skip


def _edges(start: OperationStart, run_id: str) -> list[EdgeStart]:
    ends = [
        edge
        for action in start.actions
        for edge in (
            (PLAN, action, action, EdgeMode.MOVE),
            (action, DONE, "continue", EdgeMode.MOVE),
            (action, FAILED, "on_error", EdgeMode.DIVERT),
        )
    ]
    return [EdgeStart(f"{run_id}-edge-{number}", *edge) for number, edge in enumerate(ends)]
