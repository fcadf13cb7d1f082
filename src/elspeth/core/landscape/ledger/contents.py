"""Contents that are kept outside the database: every reference on record must lead to what it names.

A leaf holds the hash of what is in the payload store; that this is still there is looked at here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.ledger import records
from elspeth.core.landscape.ledger.records import RunKey
from elspeth.core.landscape.payloads.forms import REFERENCE, body_reference
from elspeth.core.landscape.payloads.store import inflate

TABLE = "payload store"
_TRACES = f"""SELECT row_no, token_no, payload, deltas FROM traces WHERE run_no = ?
    AND (substr(payload, 1, 1) = '{REFERENCE}' OR substr(deltas, 1, 1) = '{REFERENCE}') ORDER BY 1, 2"""
_CALLS = f"""SELECT call_id, request, request_hash, response, response_hash FROM calls WHERE run_id = ?
    AND (substr(request, 1, 1) = '{REFERENCE}' OR substr(response, 1, 1) = '{REFERENCE}') ORDER BY 1"""


@dataclass(slots=True)
class Lost:
    """A segment that does not hold what it should: the first record that shows it, and how many do."""

    why: str
    record: str
    count: int = 0


def lost_contents(connection: Connection, run: RunKey) -> Iterator[tuple[str, str]]:
    """(segment, how it shows) of each segment with contents that are gone or are not what was put there."""
    lost: dict[str, Lost] = {}
    for record, reference in _references(connection, run):
        segment = reference.removeprefix(REFERENCE).partition(":")[0]
        try:
            if segment not in lost or "is missing" not in lost[segment].why:
                inflate(connection, reference)
                continue
        except LandscapeError as error:
            lost.setdefault(segment, Lost(error.what, record))
        lost[segment].count += 1
    for segment, found in lost.items():
        more = f" and {found.count - 1} more" if found.count > 1 else ""
        yield f"segment={segment}", f"{found.why} ({found.record}{more})"


def _references(connection: Connection, run: RunKey) -> Iterator[tuple[str, str]]:
    for row_no, token_no, *texts in records.stream(connection, _TRACES, (run.run_no,)):
        for text in texts:
            if isinstance(text, str) and text.startswith(REFERENCE):
                yield f"traces row_no={row_no} token_no={token_no}", text
    for call_id, request, asked, response, answered in records.stream(connection, _CALLS, (run.run_id,)):
        for body, recorded in ((request, asked), (response, answered)):
            if isinstance(body, str) and body_reference(body, recorded) is not None:
                yield f"calls call_id={call_id}", body
