"""Tasks and claims."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from elspeth.contracts.errors import ElspethError


class TaskState(StrEnum):
    """Where a task stands.

    ``blocked``: something that it needs is not done, or somebody holds it back. ``ready``: whoever asks
    gets it. ``claimed``: one worker has it, until its lease runs out. ``done`` and ``dead`` are ends; a
    dead one has failed as often as it may, waits for a person, and so do those that need it.
    """

    BLOCKED = "blocked"
    READY = "ready"
    CLAIMED = "claimed"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be added. ``payload`` must be JSON. Higher ``priority`` goes first, then the older one.

    ``needs``: ids of tasks that must be done before. ``blockers``: reasons of other kinds that hold it
    back, such as an approval; see `Coordinator.unblock`.
    """

    task_id: str
    payload: Any = None
    queue: str = "default"
    needs: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    priority: int = 0
    max_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to one task. ``epoch`` rises with every claim of the task: the fencing token.

    Hand ``epoch`` to whatever the work changes outside, so that it can refuse an older one.
    ``lease_until`` is in seconds since 1970, on the coordinator's clock.
    """

    task_id: str
    payload: Any
    queue: str
    worker: str
    epoch: int
    attempt: int
    lease_until: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it stands. ``waits_for``: what blocks it, ids of tasks and reasons."""

    task_id: str
    queue: str
    state: TaskState
    payload: Any
    attempts: int
    max_attempts: int
    epoch: int
    worker: str | None
    result: Any
    error: str | None
    waits_for: tuple[str, ...] = field(default=())


class LeaseLostError(ElspethError):
    """The lease ran out, or somebody else has the task: nothing of what the claimant reports counts."""
