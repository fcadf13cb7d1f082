"""Who may write to a run: one process at a time, and one that slept too long is told so.

A lease has an epoch. Taking over a run raises it; every commit asks, in its own transaction, whether
the epoch is still its own. So two processes never both commit, whatever the clocks say; the
heartbeat only tells whether it is polite to take over.
"""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from elspeth.contracts.enums import RunStatus
from elspeth.contracts.errors import LandscapeError, UsageError
from elspeth.core.landscape.tables import leases_table, runs_table

SILENCE = timedelta(seconds=60)
"""How long the owner on another machine must have been silent before its run may be taken over."""


class FencedError(LandscapeError):
    """Another process has taken over this run; nothing of this one's last group was committed."""


class RunHeldError(UsageError):
    """Another process is at work on this run."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to one run."""

    run_no: int
    epoch: int


def this_process() -> str:
    """Host, process and its start: a number that is used again belongs to another process."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def take_lease(connection: Connection, run_no: int, now: datetime) -> Lease:
    """Become the owner of a run. Raises RunHeldError if another process is alive and owns it."""
    table = leases_table
    found = connection.execute(select(table).where(table.c.run_no == run_no).with_for_update()).one_or_none()
    values = {"owner": this_process(), "heartbeat_at": now}
    if found is None:
        connection.execute(insert(table).values(run_no=run_no, epoch=1, **values))
        return Lease(run_no, 1)
    if found.owner and found.owner != this_process() and _is_alive(found.owner, found.heartbeat_at, now):
        host, process, _ = found.owner.split(":")
        raise RunHeldError(
            f"process {process} on {host} is at work on this run"
            f" (last sign of life: {found.heartbeat_at:%H:%M:%S} UTC)",
            fix="wait until it ends, or end it, and try again",
        )
    epoch = found.epoch + 1
    connection.execute(update(table).where(table.c.run_no == run_no).values(epoch=epoch, **values))
    return Lease(run_no, epoch)


def renew(connection: Connection, lease: Lease, now: datetime) -> None:
    """Show that the owner is alive, in the transaction of its commit. Raises FencedError."""
    _touch(connection, lease, {"heartbeat_at": now})


def give_back(connection: Connection, lease: Lease, now: datetime) -> None:
    """The owner is done: anybody may take over. Raises FencedError."""
    _touch(connection, lease, {"heartbeat_at": now, "owner": ""})


def abandoned(connection: Connection, now: datetime) -> list[int]:
    """The numbers of runs that are said to be running, whose owner is not alive."""
    table = leases_table
    query = (
        select(table)
        .join(runs_table, runs_table.c.run_no == table.c.run_no)
        .where(runs_table.c.status == RunStatus.RUNNING, table.c.owner != "")
    )
    return [
        row.run_no for row in connection.execute(query) if not _is_alive(row.owner, row.heartbeat_at, now)
    ]


def _touch(connection: Connection, lease: Lease, values: dict[str, object]) -> None:
    table = leases_table
    where = (table.c.run_no == lease.run_no) & (table.c.epoch == lease.epoch)
    if connection.execute(update(table).where(where).values(values)).rowcount == 0:
        raise FencedError(
            "another process has taken over this run: this one may not write to it any more",
            fix="nothing is lost and nothing needs to be done: the other goes on from the last commit",
        )


def _is_alive(owner: str, heartbeat: datetime, now: datetime) -> bool:
    host, process, started = owner.split(":")
    if host == socket.gethostname():
        return _started(int(process)) == started and _exists(int(process))
    return now - heartbeat < SILENCE


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(process: int) -> str:
    """When a process was started, in the system's own units; empty where that can't be known."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
