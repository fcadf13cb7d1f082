"""``prove``: one row's records in a file that can be checked without the database."""

import os
from dataclasses import dataclass
from pathlib import Path

from elspeth.api.database import default_database_url
from elspeth.contracts.errors import UsageError
from elspeth.core.landscape import ids
from elspeth.core.landscape.database import LandscapeDB
from elspeth.core.landscape.ledger.proofs import RowProof
from elspeth.core.landscape.ledger.proving import prove_row
from elspeth.core.landscape.ledger.records import RunKey
from elspeth.core.landscape.ledger.verify import snapshot
from elspeth.core.landscape.reader import LandscapeReader


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof, and what it is of. ``path`` is where it was written, if it was."""

    run_id: str
    row: int
    proof: RowProof
    path: Path | None = None

    @property
    def text(self) -> str:
        return self.proof.to_text()


def prove(
    run: str = "latest",
    *,
    row: int | str,
    out: str | os.PathLike[str] | None = None,
    database: str | None = None,
) -> Proven:
    """The proof of one row of a run: its records, and for each the way to the run's last tree head.

    ``row`` is the row's index from 0, or its row id. Raises NotFoundError for an unknown run or row,
    LandscapeError where a record was changed, UsageError where ``out`` can't be written.
    """
    db = LandscapeDB.from_url(database or default_database_url(), create=False)
    try:
        found = LandscapeReader(db).run(run)
        number = _row_number(found.run_id, row)
        with db.engine.connect() as connection, snapshot(connection):
            proof = prove_row(connection, RunKey(found.run_no, found.run_id), number)
    finally:
        db.close()
    proven = Proven(found.run_id, number, proof, None if out is None else Path(out))
    if proven.path is not None:
        try:
            proven.path.write_text(proven.text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the proof can't be written to {out}: {error.strerror}") from error
    return proven


def _row_number(run_id: str, row: int | str) -> int:
    if isinstance(row, int) or (row.isascii() and row.isdigit()):
        return int(row)
    key = ids.parse_row_id(row)
    if key is None or key.run_id != run_id:
        raise UsageError(
            f"{row!r} is no row of run {run_id}", fix="give its index, counted from 0, or its row id"
        )
    return key.row_no
