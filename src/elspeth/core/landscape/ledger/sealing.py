"""What a landscape does for its own proof: the trees of its runs, the key that signs, the anchors."""

from collections.abc import Sequence
from threading import Lock
from typing import Any

from sqlalchemy import Connection

from elspeth.contracts.errors import LandscapeError
from elspeth.core.landscape.ledger.anchors import Anchor
from elspeth.core.landscape.ledger.growth import Ledger, Written
from elspeth.core.landscape.ledger.heads import Head, SigningKey
from elspeth.core.landscape.ledger.records import RunKey, find_run


class Proof:
    """The proof of one open landscape. With ``enabled`` False nothing becomes a leaf.

    `seal` and `close` belong at the end of a transaction; once that stands, `publish` their head. One
    that was rolled back is simply not published.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.key: SigningKey | None = None
        self.anchors: Sequence[Anchor] = ()
        self._ledgers: dict[int, Ledger] = {}
        self._ahead: dict[int, Ledger] = {}
        self._noted: dict[str, list[tuple[str, tuple[Any, ...]]]] = {}
        self._lock = Lock()

    def note(self, run_id: str, kind: str, key: tuple[Any, ...]) -> None:
        """A record was written outside the commits of its run: it becomes a leaf with the next one.

        Nothing is lost if nobody says so: the end of the run finds such records, only later.
        """
        with self._lock:
            self._noted.setdefault(run_id, []).append((kind, key))

    def seal(self, connection: Connection, run_no: int, written: Written) -> Head | None:
        """Make leaves of what the transaction wrote. Raises LandscapeError if heads were tampered with."""
        if not self.enabled:
            return None
        ledger = self._take(connection, run_no)
        with self._lock:
            noted = self._noted.pop(ledger.run.run_id, [])
        return ledger.add(connection, written, noted, self.key)

    def close(self, connection: Connection, run_id: str) -> Head | None:
        """Make leaves of how the run ended and of all that is none yet; None for an unknown run."""
        run = find_run(connection, "run_id", run_id)
        if not self.enabled or run is None:
            return None
        ledger = self._take(connection, run.run_no)
        with self._lock:
            self._noted.pop(run_id, None)
        return ledger.close(connection, self.key)

    def must_stand(self, connection: Connection, run_no: int) -> None:
        """Make sure that what a resume goes by is what the run's last commit sealed.

        Raises LandscapeError with what differs: to go on from there would lose or double rows.
        """
        run = find_run(connection, "run_no", run_no)
        if not self.enabled or run is None:
            return
        ledger = Ledger.open(connection, run)
        differs = [f"{table} {key}: {what}" for table, key, what in ledger.state.differences(connection, run)]
        if differs:
            more = f" and {len(differs) - 5} more" if len(differs) > 5 else ""
            raise LandscapeError(
                f"run {run.run_id} can't go on: its state is not the one that its last commit sealed"
                f" ({'; '.join(differs[:5])}{more})",
                fix="see what `elspeth verify` says; restore a backup, or start a new run",
            )
        with self._lock:
            self._ledgers[run_no] = ledger

    def publish(self, head: Head | None) -> None:
        """The head's transaction stands: anchor it. Raises LandscapeError if an anchor can't take it."""
        if head is None:
            return
        with self._lock:
            ahead = self._ahead.pop(head.run_no, None)
            if ahead is not None:
                self._ledgers[head.run_no] = ahead
        for anchor in self.anchors:
            anchor.put(head)

    def release(self) -> None:
        """The landscape is closed: so are the anchors that have something to close."""
        for anchor in self.anchors:
            if close := getattr(anchor, "close", None):
                close()

    def _take(self, connection: Connection, run_no: int) -> Ledger:
        with self._lock:
            ledger = self._ledgers.pop(run_no, None)
        if ledger is None or not ledger.is_last(connection):
            run = find_run(connection, "run_no", run_no)
            ledger = Ledger.open(connection, run or RunKey(run_no, str(run_no)))
        with self._lock:
            self._ahead[run_no] = ledger
        return ledger
