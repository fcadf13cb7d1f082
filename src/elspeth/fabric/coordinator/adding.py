"""Adding tasks: all of them or none, and the same ones twice without harm."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from sqlalchemy import Connection, insert, select

from elspeth.contracts.errors import UsageError
from elspeth.fabric.coordinator.database import to_text
from elspeth.fabric.coordinator.tables import blockers, needs, tasks
from elspeth.fabric.coordinator.tasks import NewTask, TaskState

_AT_ONCE = 500  # SQLite takes no more than 32,766 values in one statement.


def add_tasks(connection: Connection, new: Sequence[NewTask]) -> tuple[int, set[str]]:
    """Put down the tasks that are not there; how many, and in which queues some are ready."""
    batch = {task.task_id: task for task in new}
    _check_batch(new, batch)
    states = _states(connection, {*batch, *(one for task in new for one in task.needs)})
    present = {task_id for task_id in batch if task_id in states}
    _check_same(connection, [batch[task_id] for task_id in present])
    fresh = [task for task in new if task.task_id not in present]
    rows, ready = [], set()
    for task in fresh:
        unmet = [one for one in set(task.needs) if states.get(one) != TaskState.DONE]
        unknown = [one for one in task.needs if one not in batch and one not in states]
        if unknown:
            raise UsageError(f"task {task.task_id!r} needs {unknown[0]!r}, which nobody has added")
        waiting = len(unmet) + len(set(task.blockers))
        if not waiting:
            ready.add(task.queue)
        rows.append(
            {"task_id": task.task_id, "queue": task.queue, "rank": -task.priority, "waiting_for": waiting,
             "state": TaskState.BLOCKED if waiting else TaskState.READY, "payload": to_text(task.payload),
             "attempts": 0, "max_attempts": task.max_attempts, "epoch": 0, "not_before": 0.0}
        )  # fmt: skip
    if rows:
        connection.execute(insert(tasks), rows)
    edges = [{"task_id": task.task_id, "needs": one} for task in fresh for one in sorted(set(task.needs))]
    if edges:
        connection.execute(insert(needs), edges)
    held = [{"task_id": task.task_id, "reason": one} for task in fresh for one in sorted(set(task.blockers))]
    if held:
        connection.execute(insert(blockers), held)
    return len(rows), ready


def _check_batch(new: Sequence[NewTask], batch: dict[str, NewTask]) -> None:
    if len(batch) != len(new):
        twice = next(one.task_id for one in new if sum(other.task_id == one.task_id for other in new) > 1)
        raise UsageError(f"task {twice!r} is there twice")
    for task in new:
        if task.max_attempts < 1:
            raise UsageError(f"task {task.task_id!r} must be allowed at least one attempt")
    try:
        TopologicalSorter({task.task_id: task.needs for task in new}).prepare()
    except CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        raise UsageError(f"tasks wait for each other in a circle: {circle}") from error


def _states(connection: Connection, wanted: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    ids = sorted(wanted)
    for start in range(0, len(ids), _AT_ONCE):
        # Locked, so that none of them is completed before we have counted what is unmet.
        query = select(tasks.c.task_id, tasks.c.state).where(
            tasks.c.task_id.in_(ids[start : start + _AT_ONCE])
        )
        rows = connection.execute(query.order_by(tasks.c.task_no).with_for_update())
        found |= {row.task_id: row.state for row in rows}
    return found


def _check_same(connection: Connection, again: Sequence[NewTask]) -> None:
    for task in again:
        row = connection.execute(select(tasks).where(tasks.c.task_id == task.task_id)).one()
        before = set(
            connection.execute(select(needs.c.needs).where(needs.c.task_id == task.task_id)).scalars()
        )
        if (row.payload, row.queue) != (to_text(task.payload), task.queue) or before != set(task.needs):
            raise UsageError(
                f"there is a task {task.task_id!r} already, and it is another one",
                fix="take another id, or add the same task",
            )
