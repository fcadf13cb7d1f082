"""The bytes of one blob on their way: staged in blocks at every commit, visible in one step at the end."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elspeth.contracts.errors import SinkError
from elspeth.contracts.plugins import Artifact
from elspeth.plugins.sinks.part_file import PartFile
from elspeth.providers.azure_blob.blocks import BLOCK_ID_CHARS
from elspeth.providers.azure_blob.client import AzureBlobClient
from elspeth.providers.azure_blob.info import Uploaded
from elspeth.providers.azure_blob.uploads import SHA256_KEY, Label

RUN_KEY = "elspeth_run_id"
_FULL, _TAILS, _ENDING = "f", "ab", "e"
_GENERATION_CHARS = 16
_LONG_ENOUGH = 256 * 1024
_SHORT_BLOCKS = 10_000  # after so many the next ones must be twice as long


@dataclass(frozen=True, slots=True)
class Place:
    """Where a blob goes, and with what."""

    client: AzureBlobClient
    container: str
    blob: str
    run_id: str
    block_size: int = 4 * 1024 * 1024
    overwrite: bool = True
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    successor: bool = False
    """Whether an earlier process of the run may still be about, and stage blocks."""

    @property
    def url(self) -> str:
        """The blob's URL, without any signature."""
        return f"{self.client.url}/{self.container}/{self.blob}"

    def label(self, **more: Any) -> Label:
        """What goes with the content, the run's id included."""
        known = {**self.metadata, RUN_KEY: self.run_id}
        return Label(self.content_type, known, self.tags, **more)


@dataclass(slots=True)
class Segment:
    """The blocks that one process staged: ``full`` ones that are done, and a shorter one behind them.

    ``tail`` is which of two ids the shorter one has: they take turns, so that the one of the last commit
    stays as it was while its successor is sent.
    """

    generation: str
    full: int = 0
    tail: str = ""

    def ids(self) -> list[str]:
        found = [self.block(index, _FULL) for index in range(self.full)]
        return [*found, self.block(self.full, self.tail)] if self.tail else found

    def block(self, index: int, variant: str) -> str:
        return f"{self.generation}-{index:012d}-{variant}".ljust(BLOCK_ID_CHARS, "0")


class BlobPart(PartFile):
    """A part file that is a list of staged blocks.

    What a process staged can't be read back by its successor before it is committed: a successor goes on
    with blocks of its own behind them, and the hash of the whole is taken from the blob at the end.
    """

    def __init__(
        self, target: Path, run_id: str, place: Place, segments: Sequence[Sequence[Any]] = ()
    ) -> None:
        super().__init__(target, run_id)
        self._place = place
        self._earlier = [Segment(*facts) for facts in segments]
        self._own = Segment(self._generation())
        self._open = False
        self._pending = bytearray()
        self._staged = 0  # bytes of the pending ones that the tail block has
        self._known = True  # whether the hash covers all bytes
        self._etag: str | None = None

    def _generation(self) -> str:
        """Deterministic for the first process of a run, new for every other one: it may have a ghost."""
        key = f"{self._place.run_id}/{self._place.blob}"
        if self._earlier or self._place.successor:
            key += f"/{len(self._earlier)}/{uuid.uuid4()}"
        return hashlib.sha256(key.encode()).hexdigest()[:_GENERATION_CHARS]

    @property
    def is_open(self) -> bool:
        """Whether anything was begun (or restored)."""
        return self._open

    @property
    def sha256(self) -> str:
        """The hash (hex) of all that was written so far; empty after a restore, until it is published."""
        return super().sha256 if self._known else ""

    @property
    def segments(self) -> list[list[Any]]:
        """What a later process needs to go on; valid after `sync`."""
        found = [*self._earlier, self._own]
        return [[one.generation, one.full, one.tail] for one in found if one.full or one.tail]

    def begin(self, base: Path | None = None) -> None:
        """Start with nothing."""
        self._open = True

    def write(self, data: bytes) -> None:
        """Take bytes; whole blocks are sent."""
        if self._known:
            self._hash.update(data)
        self.size += len(data)
        self._pending += data
        size = self._place.block_size
        while len(self._pending) >= size:
            self._close_block(size)

    def _close_block(self, size: int) -> None:
        self._stage(self._own.full, _FULL, self._pending[:size])
        del self._pending[:size]
        self._own.full += 1
        self._own.tail = ""
        self._staged = 0

    def sync(self) -> None:
        """Send what is left: all that was written is in the service then.

        A short block is sent again, longer, at the next commit, so that few rows per commit don't
        use up the 50,000 blocks that a blob may have; one that is long enough is done with.
        """
        if len(self._pending) == self._staged:
            return
        if len(self._pending) >= _LONG_ENOUGH << (self._own.full // _SHORT_BLOCKS):
            self._close_block(len(self._pending))
            return
        variant = _TAILS[1] if self._own.tail == _TAILS[0] else _TAILS[0]
        self._stage(self._own.full, variant, self._pending)
        self._own.tail = variant
        self._staged = len(self._pending)

    def restore(self, size: int, sha256: str) -> bool:
        """Go on behind the blocks that were given. True if they are committed already.

        Raises SinkError if they are neither staged nor committed.
        """
        wanted = [one for segment in self._earlier for one in segment.ids()]
        place = self._place
        self._open, self.size, self._known = True, size, size == 0
        if not wanted:
            return False
        staged = place.client.staged_blocks(place.container, place.blob)
        if set(wanted) <= staged.keys():
            found, published = sum(staged[one] for one in wanted), False
        else:
            committed = place.client.committed_blocks(place.container, place.blob)
            if list(committed)[: len(wanted)] != wanted:
                raise SinkError(
                    f"blocks of {place.url} that are on record are gone, so it cannot be continued",
                    fix="the service keeps staged blocks for a week, and drops them when somebody else writes"
                    " the blob; start a new run: it writes the whole blob again",
                )
            found, published = sum(committed[one] for one in wanted), True
            self._etag = place.client.get_blob_properties(place.container, place.blob).etag
        if found != size:
            raise SinkError(
                f"the staged blocks of {place.url} have {found:,} bytes, but {size:,} are on record",
                fix="somebody changed them; start a new run: it writes the whole blob again",
            )
        return published

    def publish(self, *, replace: bool) -> None:
        """Commit the blocks: the blob appears, or is replaced, in one step. Raises BlobExistsError."""
        self.commit()

    def commit(self, ending: bytes = b"") -> Uploaded:
        """Make all that was written so far, and ``ending`` behind it, the blob's content.

        More can be written afterwards, and committed again.
        """
        place, etag = self._place, self._etag
        if not self._own.tail:
            self.sync()
        # A block that is on record stays in the blob as it is: a resume looks for it there.
        extra = bytes(self._pending[self._staged :]) + ending
        ids = [one for segment in (*self._earlier, self._own) for one in segment.ids()]
        if extra:
            ids.append(self._own.block(self._own.full, _ENDING))
            self._stage(self._own.full, _ENDING, extra)
        whole = self._hash.copy()
        whole.update(ending)
        sha256 = whole.hexdigest() if self._known else ""
        overwrite = place.overwrite and etag is None
        done = place.client.commit_blocks(
            place.container,
            place.blob,
            ids,
            sha256=sha256,
            overwrite=overwrite,
            label=place.label(if_match=etag),
        )
        self._etag = done.etag
        if not self._known:
            self._read_back(done.etag)
        return done

    def _read_back(self, etag: str) -> None:
        """Hash what is in the blob now, and put the hash into its metadata.

        An ending that is only for show does not count to what was written.
        """
        place = self._place
        self._hash, whole, left = hashlib.sha256(), hashlib.sha256(), self.size
        for piece in place.client.stream_blob(place.container, place.blob, if_match=etag):
            self._hash.update(piece[:left])
            whole.update(piece)
            left -= min(left, len(piece))
        self._known = True
        found = place.client.get_blob_properties(place.container, place.blob)
        known = {**found.metadata, SHA256_KEY: whole.hexdigest()}
        self._etag = place.client.set_metadata(place.container, place.blob, known, if_match=etag)

    def cut(self, size: int) -> None:
        """Nothing is ever cut off a blob."""
        raise SinkError(f"{self._place.url} can't be appended to")

    def close(self) -> None:
        """Forget what was not sent."""
        self._open = False
        self._pending.clear()

    def _stage(self, index: int, variant: str, data: bytes | bytearray) -> None:
        place = self._place
        place.client.stage_block(place.container, place.blob, self._own.block(index, variant), bytes(data))


def made_by_run(place: Place) -> Artifact | None:
    """What a process of this run made visible there (``rows`` are not known); None if none did."""
    found = place.client.find_blob(place.container, place.blob)
    if found is None or found.metadata.get(RUN_KEY) != place.run_id:
        return None
    return Artifact(place.url, found.metadata.get(SHA256_KEY), found.size, 0)
