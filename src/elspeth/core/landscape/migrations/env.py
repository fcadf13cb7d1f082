"""What Alembic runs around a migration: the caller's connection, the caller's transaction.

Start migrations with `elspeth.core.landscape.upgrade.upgrade`, which checks first what it has before it.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
