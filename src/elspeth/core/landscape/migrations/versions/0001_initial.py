"""The first landscape: the tables and the views over them, as `LandscapeDB.create` makes them.

Until the first release this revision makes whatever `tables` and `views` say: nobody has a database
that it would have to be fair to. With the release it gets a copy of both, and later revisions
change things step by step. A landscape is never taken back, so there is no ``downgrade``.
"""

from alembic import op

from elspeth.core.landscape.tables import metadata
from elspeth.core.landscape.views import view_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    for name, select in view_statements(connection.dialect.name).items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {select}")
