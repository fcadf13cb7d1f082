"""The statements that are run for every task on PostgreSQL: one round trip each, and a transaction by itself.

With 16 claimants it is round trips that cost the time: a statement that does all is three of them less than
BEGIN, statement and COMMIT, and one that completes a task and claims the next is another less. In one
statement every part sees the database as it was before: what a completion frees is there for the next claim,
not for this one.
"""

from elspeth.fabric.coordinator.tasks import TaskState

_READY, _CLAIMED, _DONE, _BLOCKED = (
    f"'{state.value}'" for state in (TaskState.READY, TaskState.CLAIMED, TaskState.DONE, TaskState.BLOCKED)
)

# Rows that others have locked are theirs: nobody waits for anybody.
_CLAIM = f"""picked AS (
    SELECT task_no FROM fabric_tasks
    WHERE queue = %(queue)s AND state = {_READY} AND not_before <= {{now}} {{only}}
    ORDER BY rank, task_no LIMIT %(count)s FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE fabric_tasks t
    SET state = {_CLAIMED}, worker = %(worker)s, lease_until = {{now}} + %(lease)s,
        epoch = epoch + 1, attempts = attempts + 1
    FROM picked WHERE t.task_no = picked.task_no
    RETURNING t.task_id, t.payload, t.queue, t.epoch, t.attempts, t.lease_until, t.rank, t.task_no
)"""

# Those that the completion frees are locked in one order, or two completions could wait for each other.
_COMPLETE = f"""done AS (
    UPDATE fabric_tasks
    SET state = {_DONE}, result = %(result)s, lease_until = NULL, error = NULL
    WHERE task_id = %(task_id)s AND state = {_CLAIMED} AND epoch = %(epoch)s AND worker = %(holder)s
        AND lease_until > {{now}}
    RETURNING task_id
), waiting AS (
    SELECT t.task_no FROM done JOIN fabric_needs n ON n.needs = done.task_id
    JOIN fabric_tasks t ON t.task_id = n.task_id AND t.state = {_BLOCKED}
    ORDER BY t.task_no FOR UPDATE OF t
), freed AS (
    UPDATE fabric_tasks t
    SET waiting_for = t.waiting_for - 1,
        state = CASE WHEN t.waiting_for <= 1 THEN {_READY} ELSE t.state END
    FROM waiting WHERE t.task_no = waiting.task_no
    RETURNING t.queue, t.state
), told AS (
    SELECT count(pg_notify('{{channel}}', queue)) AS told
    FROM (SELECT DISTINCT queue FROM freed WHERE state = {_READY}) AS queues
)"""

_COLUMNS = "task_id, payload, queue, epoch, attempts, lease_until"


class Statements:
    """The statements for one server; ``now`` is SQL for the time, in seconds since 1970."""

    def __init__(self, now: str, channel: str) -> None:
        words = {"now": now, "channel": channel}
        claim, complete = _CLAIM.format(only="", **words), _COMPLETE.format(**words)
        only = _CLAIM.format(only="AND EXISTS (SELECT 1 FROM done)", **words)
        self.claim = f"WITH {claim} SELECT {_COLUMNS} FROM claimed ORDER BY rank, task_no"
        # `told` is asked for, or it would not be carried out.
        self.complete = f"WITH {complete} SELECT (SELECT count(*) FROM done) AS completed, told FROM told"
        self.complete_and_claim = (
            f"WITH {complete}, {only} SELECT (SELECT count(*) FROM done) AS completed, told, {_COLUMNS}"
            " FROM told LEFT JOIN claimed ON true ORDER BY rank, task_no"
        )
