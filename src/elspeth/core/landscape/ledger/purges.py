"""Contents that are gone although no purge is on record.

A leaf holds contents by their hash, so that a purge changes no leaf. The other side of that is looked
at here: whoever takes contents away without a purge must be found all the same. The event of a purge is a
leaf of its own, so it can't be invented.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.records import RunKey
from elspeth.core.landscape.payloads.forms import PURGED

_PURGES = "SELECT count(*) FROM run_events WHERE run_no = ? AND kind = 'purged'"
_TRACES = f"""SELECT row_no, token_no FROM traces
    WHERE run_no = ? AND substr(payload, 1, 1) = '{PURGED}' AND deltas IS NULL ORDER BY 1, 2"""
_CALLS = """SELECT call_id FROM calls
    WHERE run_id = ? AND (request IS NULL OR (response IS NULL AND response_hash IS NOT NULL)) ORDER BY 1"""


def taken_away(connection: Connection, run: RunKey) -> Iterator[tuple[str, str]]:
    """(table, key) of each record of a run whose contents are gone, if no purge says why."""
    counted = connection.exec_driver_sql(records.placed(connection, _PURGES), (run.run_no,)).scalar()
    if counted:
        return
    for row_no, token_no in records.stream(connection, _TRACES, (run.run_no,)):
        yield "traces", f"row_no={row_no} token_no={token_no}"
    for (call_id,) in records.stream(connection, _CALLS, (run.run_id,)):
        yield "calls", f"call_id={call_id}"
