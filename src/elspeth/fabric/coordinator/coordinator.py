"""`Coordinator`: tasks with dependencies, claimed once."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, select, update

from elspeth.contracts.errors import NotFoundError, UsageError
from elspeth.fabric.coordinator.adding import add_tasks
from elspeth.fabric.coordinator.database import CHANNEL, TaskDatabase, to_text
from elspeth.fabric.coordinator.statements import Statements
from elspeth.fabric.coordinator.tables import blockers, needs, tasks
from elspeth.fabric.coordinator.tasks import Claim, LeaseLostError, NewTask, Task, TaskState

_CLAIMED = (
    tasks.c.task_id,
    tasks.c.payload,
    tasks.c.queue,
    tasks.c.epoch,
    tasks.c.attempts,
    tasks.c.lease_until,
    tasks.c.rank,
    tasks.c.task_no,
)


class Coordinator:
    """Tasks in a database that many workers, on many machines, take their work from.

    What it guarantees: at any moment a task has one claimant at most, and a claimant whose lease ran
    out can complete, fail or prolong nothing. What it can't: undo what such a claimant does outside.
    Pass ``epoch`` on, and make the work idempotent.

    ``lease_seconds``: how long a claim holds without `heartbeat`. ``clock``: seconds since 1970, for
    tests; without it the time is PostgreSQL's own, or this machine's for SQLite. Threads may share a
    coordinator.
    """

    def __init__(
        self, database: TaskDatabase, *, lease_seconds: float = 60.0, retry_seconds: float = 0.0
    ) -> None:
        self._database = database
        self.lease_seconds = lease_seconds
        self.retry_seconds = retry_seconds
        self._swept = 0.0
        self._statements = Statements(database.now_sql, CHANNEL) if database.postgres else None

    @classmethod
    def from_url(
        cls, url: str, *, clock: Callable[[], float] | None = None, lease_seconds: float = 60.0
    ) -> "Coordinator":
        """Open ``sqlite:///path`` or ``postgresql://…``, and make the tables if they are not there.

        Raises UsageError for other URLs, ElspethError when the database can't be used.
        """
        return cls(TaskDatabase(url, clock), lease_seconds=lease_seconds)

    def close(self) -> None:
        """Give back every connection. Claims stay claimed until their leases run out."""
        self._database.close()

    def add(self, new: Iterable[NewTask]) -> int:
        """Add tasks, all or none; how many of them are new.

        A task that is there already, with the same payload and needs, is left as it is: adding the same
        plan twice is harmless. Raises UsageError for the same id with another content, for needs that
        are not known, and for a circle.
        """
        with self._database.writing() as connection:
            added, queues = add_tasks(connection, list(new))
            for queue in queues:
                self._database.notify(connection, queue)
            return added

    def claim(self, worker: str, queue: str = "default", limit: int = 1) -> list[Claim]:
        """Take up to ``limit`` tasks that are ready; an empty list if there are none. Never waits for
        others.
        """
        self._sweep_now_and_then()
        found = self._claim(worker, queue, limit)
        if not found and self.expire():
            found = self._claim(worker, queue, limit)
        return found

    def heartbeat(self, claim: Claim) -> Claim:
        """Prolong the lease. Raises LeaseLostError if it ran out, or somebody else has the task."""
        until = self._database.now() + self.lease_seconds
        with self._database.writing() as connection:
            row = connection.execute(
                update(tasks)
                .where(self._held(claim))
                .values(lease_until=until)
                .returning(tasks.c.lease_until)
            ).one_or_none()
        if row is None:
            raise _lost(claim)
        return Claim(
            claim.task_id,
            claim.payload,
            claim.queue,
            claim.worker,
            claim.epoch,
            claim.attempt,
            row.lease_until,
        )

    def complete(self, claim: Claim, result: Any = None) -> None:
        """The task is done; what needed it becomes ready. Raises LeaseLostError; then nothing is changed."""
        if self._statements is not None:
            values = self._completing(claim, result)
            if not self._database.alone(self._statements.complete, values)[0][0]:
                raise _lost(claim)
            return
        done = {"state": TaskState.DONE, "result": to_text(result), "lease_until": None, "error": None}
        with self._database.writing() as connection:
            if connection.execute(update(tasks).where(self._held(claim)).values(**done)).rowcount != 1:
                raise _lost(claim)
            waiting = select(needs.c.task_id).where(needs.c.needs == claim.task_id)
            self._lighten(connection, tasks.c.task_id.in_(waiting))

    def complete_and_claim(self, claim: Claim, result: Any = None, limit: int = 1) -> list[Claim]:
        """`complete`, then `claim` for the same worker and queue; on PostgreSQL in one statement.

        What the completion made ready is not among what it returns there, and is for the next claim. Raises
        LeaseLostError; then nothing is changed, and nothing claimed.
        """
        if self._statements is None:
            self.complete(claim, result)
            return self.claim(claim.worker, claim.queue, limit)
        self._sweep_now_and_then()
        values = {**self._completing(claim, result), **self._claiming(claim.worker, claim.queue, limit)}
        rows = self._database.alone(self._statements.complete_and_claim, values)
        if not rows[0][0]:
            raise _lost(claim)
        return [_claim(row[2:], claim.worker) for row in rows if row[2] is not None]

    def fail(self, claim: Claim, error: str) -> TaskState:
        """The attempt failed: the task is ready again, or dead after ``max_attempts``. Raises
        LeaseLostError.
        """
        with self._database.writing() as connection:
            row = connection.execute(
                update(tasks)
                .where(self._held(claim))
                .values(**self._back(error), not_before=self._database.now() + self.retry_seconds)
                .returning(tasks.c.state)
            ).one_or_none()
            if row is None:
                raise _lost(claim)
            self._database.notify(connection, claim.queue)
        return TaskState(row.state)

    def release(self, claim: Claim) -> None:
        """Give a task back untouched: the attempt does not count. Raises LeaseLostError."""
        values = {
            "state": TaskState.READY,
            "attempts": tasks.c.attempts - 1,
            "worker": None,
            "lease_until": None,
        }
        with self._database.writing() as connection:
            if connection.execute(update(tasks).where(self._held(claim)).values(**values)).rowcount != 1:
                raise _lost(claim)
            self._database.notify(connection, claim.queue)

    def expire(self) -> int:
        """Take back the tasks whose leases ran out; how many. `claim` does it by itself when it needs to."""
        now = self._database.now()
        late = and_(tasks.c.state == TaskState.CLAIMED, tasks.c.lease_until <= now)
        picked = select(tasks.c.task_no).where(late).with_for_update(skip_locked=True).cte("late")
        with self._database.writing() as connection:
            found = connection.execute(
                update(tasks)
                .where(tasks.c.task_no == picked.c.task_no)
                .values(**self._back("the lease ran out"))
                .returning(tasks.c.queue)
            ).all()
            for queue in {row.queue for row in found}:
                self._database.notify(connection, queue)
        return len(found)

    def block(self, task_id: str, reason: str) -> None:
        """Hold a task back that nobody has claimed yet. Raises UsageError if it is claimed or ended."""
        with self._database.writing() as connection:
            self._need(connection, task_id)
            open_states = (TaskState.READY, TaskState.BLOCKED)
            held = update(tasks).where(tasks.c.task_id == task_id, tasks.c.state.in_(open_states))
            values = {"state": TaskState.BLOCKED, "waiting_for": tasks.c.waiting_for + 1}
            known = select(blockers.c.reason).where(
                blockers.c.task_id == task_id, blockers.c.reason == reason
            )
            if connection.execute(known).one_or_none() is not None:
                return
            if connection.execute(held.values(**values)).rowcount != 1:
                raise UsageError(f"task {task_id!r} is claimed or ended, and can't be held back")
            connection.execute(insert(blockers).values(task_id=task_id, reason=reason))

    def unblock(self, task_id: str, reason: str) -> None:
        """Take a reason away; the task is ready if nothing else holds it. A reason that is not there is no
        error.
        """
        with self._database.writing() as connection:
            self._need(connection, task_id)
            gone = delete(blockers).where(blockers.c.task_id == task_id, blockers.c.reason == reason)
            if connection.execute(gone).rowcount:
                self._lighten(connection, tasks.c.task_id == task_id)

    def revive(self, task_id: str) -> None:
        """Give a dead task all its attempts again. Raises UsageError if it is not dead."""
        with self._database.writing() as connection:
            row = self._need(connection, task_id)
            change = update(tasks).where(tasks.c.task_id == task_id, tasks.c.state == TaskState.DEAD)
            if connection.execute(change.values(state=TaskState.READY, attempts=0)).rowcount != 1:
                raise UsageError(f"task {task_id!r} is {row.state}, not dead")
            self._database.notify(connection, row.queue)

    def task(self, task_id: str) -> Task:
        """One task as it stands. Raises NotFoundError."""
        with self._database.writing() as connection:
            return self._task(connection, self._need(connection, task_id))

    def dead(self, queue: str = "default") -> list[Task]:
        """The dead letters, oldest first."""
        query = (
            select(tasks)
            .where(tasks.c.queue == queue, tasks.c.state == TaskState.DEAD)
            .order_by(tasks.c.task_no)
        )
        with self._database.writing() as connection:
            return [self._task(connection, row) for row in connection.execute(query).all()]

    def counts(self, queue: str = "default") -> dict[TaskState, int]:
        """How many tasks are in which state; every state is there."""
        query = select(tasks.c.state, func.count()).where(tasks.c.queue == queue).group_by(tasks.c.state)
        with self._database.writing() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in TaskState}

    def wait(self, queue: str = "default", timeout: float = 30.0) -> bool:
        """Wait until a task is ready (or a lease has run out); False after ``timeout`` seconds of the real
        clock.

        PostgreSQL tells by NOTIFY, SQLite is asked. Others may be quicker: `claim` can still come back
        empty.
        """
        end = time.monotonic() + timeout
        with self._database.listening() as listen:
            while True:
                self.expire()
                if self._ready(queue):
                    return True
                left = end - time.monotonic()
                if left <= 0:
                    return False
                # Nobody notifies when a lease runs out or a pause ends: look again from time to time.
                listen(min(left, max(0.05, self.lease_seconds / 4)))

    def _completing(self, claim: Claim, result: Any) -> dict[str, Any]:
        return {
            "result": to_text(result), "task_id": claim.task_id, "epoch": claim.epoch, "holder": claim.worker,
        }  # fmt: skip

    def _claiming(self, worker: str, queue: str, limit: int) -> dict[str, Any]:
        return {"queue": queue, "worker": worker, "count": limit, "lease": self.lease_seconds}

    def _claim(self, worker: str, queue: str, limit: int) -> list[Claim]:
        if self._statements is not None:
            # A claim whose answer is lost runs out by itself.
            values = self._claiming(worker, queue, limit)
            taken = self._database.alone(self._statements.claim, values, again=True)
            return [_claim(row, worker) for row in taken]
        now = self._database.now()
        ready = and_(tasks.c.queue == queue, tasks.c.state == TaskState.READY, tasks.c.not_before <= now)
        picked = (
            select(tasks.c.task_no).where(ready).order_by(tasks.c.rank, tasks.c.task_no).limit(limit)
            .with_for_update(skip_locked=True).cte("picked")
        )  # fmt: skip
        change = (
            update(tasks)
            .where(tasks.c.task_no == picked.c.task_no)
            .values(
                state=TaskState.CLAIMED, worker=worker, lease_until=now + self.lease_seconds,
                epoch=tasks.c.epoch + 1, attempts=tasks.c.attempts + 1,
            )
            .returning(*_CLAIMED)
        )  # fmt: skip
        with self._database.writing() as connection:
            # RETURNING promises no order.
            rows = sorted(connection.execute(change), key=lambda row: (row.rank, row.task_no))
        return [_claim(row, worker) for row in rows]

    def _held(self, claim: Claim) -> Any:
        return and_(
            tasks.c.task_id == claim.task_id,
            tasks.c.state == TaskState.CLAIMED,
            tasks.c.epoch == claim.epoch,
            tasks.c.worker == claim.worker,
            tasks.c.lease_until > self._database.now(),
        )

    def _back(self, error: str) -> dict[str, Any]:
        tired = tasks.c.attempts >= tasks.c.max_attempts
        state = case((tired, TaskState.DEAD.value), else_=TaskState.READY.value)
        return {"state": state, "error": error, "worker": None, "lease_until": None}

    def _lighten(self, connection: Connection, which: Any) -> None:
        """One thing less holds these tasks back; those that nothing holds are ready."""
        left = tasks.c.waiting_for - 1
        state = case((left <= 0, TaskState.READY.value), else_=tasks.c.state)
        change = update(tasks).where(which, tasks.c.state == TaskState.BLOCKED)
        freed = connection.execute(
            change.values(waiting_for=left, state=state).returning(tasks.c.queue, tasks.c.state)
        ).all()
        for queue in {row.queue for row in freed if row.state == TaskState.READY}:
            self._database.notify(connection, queue)

    def _ready(self, queue: str) -> bool:
        now = self._database.now()
        ready = and_(tasks.c.queue == queue, tasks.c.state == TaskState.READY, tasks.c.not_before <= now)
        with self._database.writing() as connection:
            first = connection.execute(select(tasks.c.task_no).where(ready).limit(1)).one_or_none()
        return first is not None

    def _sweep_now_and_then(self) -> None:
        # A race between threads costs one more look, nothing else.
        if time.monotonic() - self._swept > self.lease_seconds / 4:
            self._swept = time.monotonic()
            self.expire()

    def _need(self, connection: Connection, task_id: str) -> Any:
        row = connection.execute(select(tasks).where(tasks.c.task_id == task_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no task {task_id!r}")
        return row

    def _task(self, connection: Connection, row: Any) -> Task:
        return Task(
            task_id=row.task_id,
            queue=row.queue,
            state=TaskState(row.state),
            payload=json.loads(row.payload),
            attempts=row.attempts,
            max_attempts=row.max_attempts,
            epoch=row.epoch,
            worker=row.worker,
            result=json.loads(row.result) if row.result else None,
            error=row.error,
            waits_for=tuple(_waits_for(connection, row.task_id)),
        )


def _claim(row: Sequence[Any], worker: str) -> Claim:
    task_id, payload, queue, epoch, attempts, lease_until = row[:6]
    return Claim(task_id, json.loads(payload), queue, worker, epoch, attempts, lease_until)


def _waits_for(connection: Connection, task_id: str) -> Sequence[str]:
    unmet = (
        select(needs.c.needs).join(tasks, tasks.c.task_id == needs.c.needs)
        .where(needs.c.task_id == task_id, tasks.c.state != TaskState.DONE).order_by(needs.c.needs)
    )  # fmt: skip
    held = select(blockers.c.reason).where(blockers.c.task_id == task_id).order_by(blockers.c.reason)
    return [*connection.execute(unmet).scalars(), *connection.execute(held).scalars()]


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(
        f"{claim.worker!r} no longer has task {claim.task_id!r} (claim {claim.epoch}): its lease ran out",
        fix="drop the work; if this happens often, call heartbeat more often or take a longer lease",
    )
