"""Applies as work that several processes may share: one plan at a time per fleet, each step done once."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select, update

from elspeth.contracts.errors import ElspethError
from elspeth.fabric.adapter import PlanRefusedError, Step, plain_unit, unit_from
from elspeth.fabric.coordinator import Claim, Coordinator, LeaseLostError, NewTask, TaskState
from elspeth.fabric.coordinator.database import TaskDatabase
from elspeth.fabric.governor.books import alone, applies

LEASE_SECONDS = 30.0


class ApplyUnderWayError(PlanRefusedError):
    """Another plan is being applied to the same fleet. ``holder`` is the process, ``digest`` the plan."""

    def __init__(self, fleet: str, digest: str, holder: str) -> None:
        super().__init__(
            f"fleet {fleet} is being worked on: {digest[:12]}, by {holder}",
            fix="wait until it is done; if that process is dead, wait for half a minute",
        )
        self.digest = digest
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Round:
    """One apply. ``number`` is new for each; who joins an apply that is under way has the same."""

    fleet: str
    digest: str
    number: str
    holder: str


class Turns:
    """Whose turn it is to change a fleet."""

    def __init__(self, database: TaskDatabase, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    @contextmanager
    def taken(self, fleet: str, digest: str) -> Iterator[Round]:
        """Work on a fleet; who comes with the same digest joins. Raises ApplyUnderWayError for another."""
        mine = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        turn = self._enter(fleet, digest, mine)
        ended = threading.Event()
        beat = threading.Thread(target=self._keep, args=(turn, ended), daemon=True)
        beat.start()
        try:
            yield turn
        finally:
            ended.set()
            beat.join()
            self._leave(turn)

    def under_way(self, fleet: str) -> bool:
        """Whether somebody works on a fleet."""
        with self._database.writing() as connection:
            return bool(self._others(connection, fleet))

    def _enter(self, fleet: str, digest: str, mine: str) -> Round:
        now = self._now()
        with self._database.writing() as connection:
            alone(self._database, connection, fleet)
            number = uuid4().hex[:16]
            for row in self._others(connection, fleet):
                if row.digest != digest:
                    raise ApplyUnderWayError(fleet, row.digest, row.holder.rpartition(":")[0])
                number = row.round
            connection.execute(
                insert(applies).values(
                    fleet=fleet, holder=mine, digest=digest, round=number, began_at=now,
                    lease_until=now + LEASE_SECONDS,
                )
            )  # fmt: skip
        return Round(fleet, digest, number, mine)

    def _others(self, connection: Connection, fleet: str) -> list[Any]:
        """Who works on a fleet, and lives."""
        rows = connection.execute(select(applies).where(applies.c.fleet == fleet)).all()
        gone = [one.holder for one in rows if one.lease_until <= self._now() or _is_dead(one.holder)]
        if gone:
            connection.execute(delete(applies).where(applies.c.fleet == fleet, applies.c.holder.in_(gone)))
        return [one for one in rows if one.holder not in gone]

    def _keep(self, turn: Round, ended: threading.Event) -> None:
        mine = (applies.c.fleet == turn.fleet, applies.c.holder == turn.holder)
        while not ended.wait(LEASE_SECONDS / 4):
            # A database that is away for a moment costs a beat, not the lease.
            with suppress(ElspethError), self._database.writing() as connection:
                until = self._now() + LEASE_SECONDS
                connection.execute(update(applies).where(*mine).values(lease_until=until))

    def _leave(self, turn: Round) -> None:
        mine = (applies.c.fleet == turn.fleet, applies.c.holder == turn.holder)
        with self._database.writing() as connection:
            connection.execute(delete(applies).where(*mine))


@dataclass(frozen=True, slots=True)
class StepEnd:
    """A step that ended: the how-manieth of how many, and what went wrong (None: nothing)."""

    step: Step
    error: str | None
    number: int
    total: int


class SharedCrew:
    """Does the steps of an apply as tasks of the coordinator: each is claimed by one worker of one process.

    ``on_step`` is told of each step that ended here.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        turn: Round,
        parallel: int,
        on_step: Callable[[StepEnd], None] | None = None,
    ) -> None:
        self._coordinator = coordinator
        self._turn = turn
        self._parallel = parallel
        self._on_step = on_step or (lambda end: None)
        self._ended = 0
        self._claims: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __call__(self, steps: Sequence[Step], do: Callable[[Step], None]) -> None:
        """Do all of them, together with whoever joined. Raises the first error once all have ended."""
        work, self._ended = {self._id(step): step for step in steps}, 0
        queue = f"fleet/{self._turn.number}/{steps[0].action}"
        self._coordinator.add(
            NewTask(task_id, plain_unit(step.unit), queue, max_attempts=5) for task_id, step in work.items()
        )
        ended = threading.Event()
        beat = threading.Thread(target=self._keep, args=(ended,), daemon=True)
        beat.start()
        try:
            with ThreadPoolExecutor(min(self._parallel, len(work))) as pool:
                done = [
                    pool.submit(self._work, queue, work, do) for _ in range(min(self._parallel, len(work)))
                ]
                try:
                    wait(done)
                except BaseException:
                    # Ctrl-C: what is begun is ended, and nothing else is begun.
                    self._stopped.set()
                    raise
        finally:
            ended.set()
            beat.join()
        for one in done:
            one.result()
        self._raise_others(work)

    def _id(self, step: Step) -> str:
        return f"{self._turn.number}/{step.action}/{step.unit.name}"

    def _work(self, queue: str, work: dict[str, Step], do: Callable[[Step], None]) -> None:
        worker, first = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}", None
        while not self._stopped.is_set():
            claims = self._coordinator.claim(worker, queue)
            if not claims:
                counts = self._coordinator.counts(queue)
                if not counts[TaskState.READY] + counts[TaskState.CLAIMED]:
                    break
                time.sleep(0.1)
                continue
            try:
                error = self._step(claims[0], work, do)
            except BaseException:
                self._stopped.set()  # That is a bug, or the end of the process: begin nothing else.
                raise
            first = first or error
        if first is not None:
            raise first

    def _step(self, claim: Claim, work: dict[str, Step], do: Callable[[Step], None]) -> ElspethError | None:
        step = work.get(claim.task_id)
        if step is None:
            # Of one who began earlier, and saw more to be done: the world has moved on, and so do we.
            step = _step_of(claim)
        with self._lock:
            self._claims[claim.task_id] = claim
        failed: ElspethError | None = None
        try:
            do(step)
        except ElspethError as error:
            failed = error
        finally:
            with self._lock:
                claim = self._claims.pop(claim.task_id, claim)
        told = None if failed is None else str(failed)
        with self._lock:
            self._ended += 1
            end = StepEnd(step, told, self._ended, len(work))
        self._on_step(end)
        try:
            self._coordinator.complete(claim, {"error": told})
        except LeaseLostError:
            return failed  # Somebody else does it again, which is harmless.
        return failed

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(self._coordinator.lease_seconds / 4):
            with self._lock:
                claims = list(self._claims.values())
            for claim in claims:
                try:
                    longer = self._coordinator.heartbeat(claim)
                except ElspethError:
                    continue
                with self._lock:
                    if claim.task_id in self._claims:
                        self._claims[claim.task_id] = longer

    def _raise_others(self, work: dict[str, Step]) -> None:
        for task_id, step in work.items():
            task = self._coordinator.task(task_id)
            error = (task.result or {}).get("error") if task.state is TaskState.DONE else task.error
            if error:
                raise ElspethError(f"{step.action} {step.unit.name}: {error}")


def _step_of(claim: Claim) -> Step:
    return Step(claim.task_id.split("/")[1], unit_from(claim.payload))


def _is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that is no more."""
    host, number = holder.split(":")[:2]
    if host != socket.gethostname() or not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
