"""Rows in one blob per so many rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure, glob_of
from elspeth.plugins.packs.azure.blob_part import Place, made_by_run
from elspeth.plugins.packs.azure.one_blob import OneBlob, open_blob


@dataclass(frozen=True, slots=True)
class PartMaker:
    """Opens the blobs of one sink by their numbers. ``options`` are those of the format."""

    place: Callable[[int], Place]
    form: str
    options: Mapping[str, Any]
    directory: Path
    rows: int

    def open(self, number: int, *, resumed: bool) -> OneBlob:
        """A writer for a blob that is still to be made. Raises BlobError if it may not be."""
        place = self.place(number)
        if not (place.overwrite or resumed):
            place.client.require_absent(place.container, place.blob)
        return self.writer(number, resumed=resumed)

    def writer(self, number: int, *, resumed: bool) -> OneBlob:
        """The same, whatever is there. ``resumed``: an earlier process may still be about."""
        place = replace(self.place(number), successor=resumed)
        made = open_blob(self.form, dict(self.options), place, self.directory / str(number))
        made.on_start(PluginContext(run_id=place.run_id))
        return made

    def made(self, number: int) -> Artifact:
        """A full blob that an earlier process of this run made visible. Raises SinkError if it is gone."""
        place = self.place(number)
        found = made_by_run(place)
        if found is None:
            raise SinkError(
                f"{place.url} is not there any more as this run wrote it, so the run cannot be continued",
                fix="start a new run: it writes all blobs again",
            )
        return replace(found, rows=self.rows)


class BlobParts:
    """All rows of a run in blobs of so many rows each, numbered from 0.

    A blob becomes visible, whole, when it is full and its rows are on record: at the first `flush` after the
    commit that they belong to. The last one becomes visible in the end.
    """

    def __init__(self, maker: PartMaker) -> None:
        self.original_headers: Mapping[str, str] = {}
        self._maker = maker
        self._done: list[Artifact] = []
        self._open: list[OneBlob] = []
        self._counts: list[int] = []
        self._settled = 0
        self._resumed = False

    def on_start(self, ctx: PluginContext) -> None:
        """Blobs are begun as their first rows come."""

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        """Fill the blob that is being written, and as many more as it takes."""
        failures: list[RowFailure] = []
        start = 0
        while start < len(rows):
            part = self._current()
            piece = rows[start : start + self._maker.rows - self._counts[-1]]
            refused = part.write(piece, ctx)
            failures += [RowFailure(start + one.index, one.reason) for one in refused]
            self._counts[-1] += len(piece) - len(refused)
            start += len(piece)
        return failures

    def _current(self) -> OneBlob:
        if not self._counts or self._counts[-1] >= self._maker.rows:
            self._open.append(self._maker.open(self._number(), resumed=self._resumed))
            self._counts.append(0)
        self._open[-1].original_headers = self.original_headers
        return self._open[-1]

    def _number(self) -> int:
        return len(self._done) + len(self._open)

    def flush(self) -> None:
        """Stage what was written, and show the full blobs whose rows an earlier commit has."""
        for _ in range(self._settled):
            self._finish()
        for part in self._open:
            part.flush()
        self._settled = sum(count >= self._maker.rows for count in self._counts)

    def _finish(self) -> None:
        """Make the first of the blobs that are open visible for good."""
        place = self._maker.place(len(self._done))
        artifact = self._open[0].publish()
        self._done.append(replace(artifact, path_or_uri=place.url))
        self._open.pop(0).close()
        self._counts.pop(0)

    def position(self) -> Mapping[str, Any]:
        """How many blobs are visible, and the positions of those that are not."""
        return {"done": len(self._done), "open": [dict(part.position()) for part in self._open]}

    def restore(self, position: Mapping[str, Any]) -> None:
        """Go on behind a position. Raises SinkError if blobs or blocks that are on record are gone."""
        self.close()
        self._resumed = True
        self._done = [self._maker.made(number) for number in range(position.get("done", 0))]
        for facts in position.get("open", ()):
            part = self._maker.writer(self._number(), resumed=True)
            self._open.append(part)
            part.restore(facts)
            self._counts.append(int(facts["rows"]))
        self._settled = sum(count >= self._maker.rows for count in self._counts)

    def show(self) -> None:
        """Make what was written so far visible; more may follow."""
        while len(self._open) > 1:
            self._finish()
        for part in self._open:
            part.show()
        self._settled = 0

    def publish(self) -> Artifact:
        """Make the rest visible. The artifact is all blobs, with each as a part of it."""
        self._current()
        while self._open:
            self._finish()
        done = tuple(self._done)
        sizes = sum(part.size_bytes or 0 for part in done)
        return Artifact(glob_of([part.path_or_uri for part in done]), None, sizes, self._rows(), done)

    def _rows(self) -> int:
        return sum(part.rows for part in self._done)

    def close(self) -> None:
        """Forget what was not staged."""
        for part in self._open:
            part.close()
        self._open, self._counts, self._settled = [], [], 0
