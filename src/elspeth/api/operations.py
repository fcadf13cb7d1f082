"""Operations on record: the landscape that they go to, and who does them."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from elspeth.api.database import default_database_url
from elspeth.api.sealing import sealing
from elspeth.core.config.runtime import LandscapeSettings
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.operations import Operation, OperationStart, operation
from elspeth.core.secrets import Redactor


@contextmanager
def recorded(start: OperationStart, database: str | None = None) -> Iterator[Operation]:
    """An operation on record in a landscape (None: the default one, made if it is not there), signed as runs
    are.

    Raises as opening the landscape does, and as `operation` does.
    """
    sealed = sealing(LandscapeSettings())
    db = LandscapeDB.from_url(database or default_database_url())
    try:
        sealed.of(db)
        db.redactor = Redactor.from_environment(os.environ)
        with operation(db, start) as begun:
            yield begun
    finally:
        db.close()


def somebody() -> str:
    """Who sits here, as far as the machine knows: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
