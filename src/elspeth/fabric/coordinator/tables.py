"""The coordinator's tables; they may live in a landscape's database or in one of their own."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, text

metadata = MetaData()
_READY, _CLAIMED = text("state = 'ready'"), text("state = 'claimed'")
Key = BigInteger().with_variant(Integer(), "sqlite")

tasks = Table(
    "fabric_tasks",
    metadata,
    Column("task_no", Key, primary_key=True, autoincrement=True),
    Column("task_id", Text, nullable=False, unique=True),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Low goes first, so that one ascending index serves.
    Column("rank", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("max_attempts", Integer, nullable=False),
    Column("epoch", Integer, nullable=False, default=0),
    Column("waiting_for", Integer, nullable=False),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("worker", Text),
    Column("lease_until", Float),
    Column("result", Text),
    Column("error", Text),
    # A task that is claimed or done is in neither of these: they stay small, and there is less to write.
    Index("ix_fabric_tasks_ready", "queue", "rank", "task_no", sqlite_where=_READY, postgresql_where=_READY),
    Index("ix_fabric_tasks_leases", "lease_until", sqlite_where=_CLAIMED, postgresql_where=_CLAIMED),
    Index("ix_fabric_tasks_state", "queue", "state"),
)

needs = Table(
    "fabric_needs",
    metadata,
    Column("task_id", Text, ForeignKey("fabric_tasks.task_id"), primary_key=True),
    Column("needs", Text, ForeignKey("fabric_tasks.task_id"), primary_key=True, index=True),
)

blockers = Table(
    "fabric_blockers",
    metadata,
    Column("task_id", Text, ForeignKey("fabric_tasks.task_id"), primary_key=True),
    Column("reason", Text, primary_key=True),
)
