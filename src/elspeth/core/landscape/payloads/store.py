"""The payload store: contents too large for the database go to segments, and come back from there."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from elspeth.core.landscape.payloads.forms import REFERENCE, body_reference, parse_reference
from elspeth.core.landscape.payloads.segments import SUFFIX, Segment, read_text, write_segment

DEFAULT_PATH = ".elspeth/payloads"
PATH_VARIABLE = "ELSPETH_PAYLOAD_STORE__BASE_PATH"
THRESHOLD = 4096
OPTION = "elspeth_payload_store"
"""The execution option under which every connection of a landscape's engine carries its store."""

_PAYLOAD, _DELTAS = 8, 9  # where they are among the columns of `traces`
_FULL = 64 << 20  # bytes of a segment of calls, after which the next begins
_RUN_ID = text("SELECT run_id FROM runs WHERE run_no = :run_no")
_SETTINGS = text("SELECT settings_json FROM runs WHERE run_id = :run_id")

Trace = tuple[Any, ...]


class PayloadStore:
    """The store of one landscape. ``base`` is its directory, None where there is none (in memory).

    Texts of more than ``threshold`` characters go to a segment; there they are found by what a trace
    says, in the run's own directory, wherever the settings of that run put it.
    """

    def __init__(self, base: Path | None, threshold: int = THRESHOLD) -> None:
        self.base = base
        self.threshold = threshold
        self._run_ids: dict[int, str] = {}
        self._calls: dict[str, Segment] = {}
        self._lock = Lock()

    @classmethod
    def beside(cls, url: URL) -> "PayloadStore":
        """The store that a landscape has if nobody says otherwise: ``payloads``, beside a SQLite file."""
        if url.get_backend_name() != "sqlite":
            return cls(Path(DEFAULT_PATH))
        if url.database in (None, "", ":memory:"):
            return cls(None)
        return cls(Path(str(url.database)).parent / "payloads")

    def configure(self, base_path: str, threshold: int) -> None:
        """Take the settings of a pipeline; the default path means: beside the landscape."""
        self.threshold = threshold
        if self.base is not None and base_path != DEFAULT_PATH:
            self.base = Path(base_path)

    def put(
        self, connection: Connection, run_no: int, commit_no: int, traces: Sequence[Trace]
    ) -> Sequence[Trace]:
        """The traces with references in the place of large texts, which are durable when this returns.

        A crash before the transaction ends leaves a segment that nothing refers to: it goes when
        the run is purged. Raises LandscapeError when the store can't be written.
        """
        most = self.threshold
        large = [
            place
            for place, trace in enumerate(traces)
            if (trace[_PAYLOAD] is not None and len(trace[_PAYLOAD]) > most)
            or (trace[_DELTAS] is not None and len(trace[_DELTAS]) > most)
        ]
        if not large or self.base is None:
            return traces
        spots = [
            (place, column)
            for place in large
            for column in (_PAYLOAD, _DELTAS)
            if traces[place][column] is not None and len(traces[place][column]) > most
        ]
        run_id = self._run_id(connection, run_no)
        # A name of its own: a process that lost its run must not overwrite what its successor wrote.
        segment = f"{run_id}/{commit_no:06d}-{token_hex(4)}{SUFFIX}"
        references = write_segment(self.base, segment, [traces[place][column] for place, column in spots])
        changed = list(traces)
        for (place, column), reference in zip(spots, references, strict=True):
            trace = changed[place]
            changed[place] = (*trace[:column], str(reference), *trace[column + 1 :])
        return changed

    def put_bodies(self, run_id: str, bodies: Sequence[str | None]) -> list[str | None]:
        """The bodies of calls with references in the place of large ones, which are durable when this
        returns. Safe to call from all threads. Raises LandscapeError when the store can't be written.
        """
        found = list(bodies)
        spots = [
            (i, body) for i, body in enumerate(bodies) if body is not None and len(body) > self.threshold
        ]
        if not spots or self.base is None:
            return found
        with self._lock:
            segment = self._calls.get(run_id)
            if segment is None or segment.size > _FULL:
                name = f"{run_id}/calls-{token_hex(4)}{SUFFIX}"
                segment = Segment(self.base, name)
            # One that could not be written is not gone on with.
            self._calls.pop(run_id, None)
            references = segment.put([body for _, body in spots])
            self._calls[run_id] = segment
        for (i, _), reference in zip(spots, references, strict=True):
            found[i] = str(reference)
        return found

    def get(self, connection: Connection, stored: str) -> str:
        """The text that a reference leads to. Raises LandscapeError if its segment is missing or damaged."""
        reference = parse_reference(stored)
        paths = [
            base / reference.segment for base in self.bases(connection, reference.segment.partition("/")[0])
        ]
        path = next((path for path in paths if path.exists()), paths[0])
        return read_text(path, reference)

    def bases(self, connection: Connection, run_id: str) -> Iterator[Path]:
        """The directories in which a run's segments may be, the likeliest first."""
        if os.environ.get(PATH_VARIABLE):
            yield Path(os.environ[PATH_VARIABLE])
        settings = connection.execute(_SETTINGS, {"run_id": run_id}).scalar()
        recorded = _base_path(orjson.loads(settings)) if settings else None
        if recorded and recorded != DEFAULT_PATH:
            yield Path(recorded)
        if self.base is not None:
            yield self.base
        yield Path(DEFAULT_PATH)

    def _run_id(self, connection: Connection, run_no: int) -> str:
        if run_no not in self._run_ids:
            self._run_ids[run_no] = connection.execute(_RUN_ID, {"run_no": run_no}).scalar_one()
        return self._run_ids[run_no]


def inflate(connection: Connection, stored: str | None) -> str | None:
    """A stored payload or deltas as it was written: what is in the payload store is fetched from there."""
    if stored is None or not stored.startswith(REFERENCE):
        return stored
    store: PayloadStore = connection.get_execution_options()[OPTION]
    return store.get(connection, stored)


def inflate_body(connection: Connection, stored: str | None, recorded_hash: str | None) -> str | None:
    """The body of a call as it was recorded; ``recorded_hash`` is the column that holds its hash."""
    reference = body_reference(stored, recorded_hash)
    return stored if reference is None else inflate(connection, str(reference))


def _base_path(settings: Mapping[str, Any]) -> str | None:
    found = (settings.get("payload_store") or {}).get("base_path")
    return found if isinstance(found, str) else None
