"""The tables in which plans, decisions, reservations and applies under way are kept."""

from collections.abc import Callable

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, Table, Text, text

from elspeth.fabric.coordinator.database import TaskDatabase

metadata = MetaData()

plans = Table(
    "fabric_plans",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("fleet", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("made_at", Float, nullable=False),
    # Why an approval is needed, as JSON list; and for how long one holds, and whether one's own counts.
    Column("needs", Text, nullable=False),
    Column("valid_hours", Float, nullable=False),
    Column("own", Integer, nullable=False),
)

decisions = Table(
    "fabric_decisions",
    metadata,
    Column("decision_no", Integer, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False, index=True),
    Column("verdict", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("comment", Text, nullable=False),
)

machines = Table(
    "fabric_machines",
    metadata,
    Column("machine_no", Integer, primary_key=True, autoincrement=True),
    Column("fleet", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("offer", Text, nullable=False),
    # Of the machine, or of all machines of a scale set; while it is held, the most that it may be.
    Column("price", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("held_at", Float, nullable=False),
    Column("hours", Float, nullable=False),
    Column("billed_from", Float),
    Column("billed_to", Float),
    Index("ix_fabric_machines_fleet", "fleet", "state"),
)

applies = Table(
    "fabric_applies",
    metadata,
    Column("fleet", Text, primary_key=True),
    # Who works on it: host:pid:anything.
    Column("holder", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("round", Text, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
)


def open_books(url: str, clock: Callable[[], float] | None = None) -> TaskDatabase:
    """Open the database, ``sqlite:///path`` or ``postgresql://…``, and make what is not there.

    The coordinator's tables are beside these. Raises UsageError for other URLs.
    """
    database = TaskDatabase(url, clock)
    with database.writing() as connection:
        if database.postgres:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7203118845522)")
        metadata.create_all(connection)
    return database


def alone(database: TaskDatabase, connection: Connection, fleet: str) -> None:
    """Let no other transaction decide about this fleet until this one ends; SQLite has one at a time."""
    if database.postgres:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:fleet))"), {"fleet": fleet})
