"""The file that a sink writes beside its target until the run is complete."""

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from elspeth.contracts.errors import SinkError

_COPY_BYTES = 1024 * 1024


class PartFile:
    """Bytes on their way to ``target``, in ``.<name>.<run_id>.part`` in the same directory.

    The SHA-256 of all bytes is kept as they are written. Nothing is visible at ``target`` before
    `publish`; after a crash `restore` goes on from any length that was synced.
    """

    def __init__(self, target: Path, run_id: str) -> None:
        self.target = target
        safe = re.sub(r"[^\w.-]", "_", run_id) or "run"
        self.path = target.with_name(f".{target.name}.{safe}.part")
        self.size = 0
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None

    @property
    def sha256(self) -> str:
        """The hash (hex) of all that was written so far."""
        return self._hash.hexdigest()

    @property
    def is_open(self) -> bool:
        """Whether anything was begun (or restored)."""
        return self._file is not None

    def begin(self, base: Path | None = None) -> None:
        """Start a new part file, with the bytes of ``base`` if given. Raises SinkError."""
        with self._errors("cannot be created"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
            if self.target.exists():
                # A file that only its owner may read must not become readable by being replaced.
                os.fchmod(self._file.fileno(), stat.S_IMODE(self.target.stat().st_mode))
        if base is not None:
            with self._errors("cannot be copied to"), open(base, "rb") as old:
                while data := old.read(_COPY_BYTES):
                    self.write(data)

    def write(self, data: bytes) -> None:
        """Append bytes. Raises SinkError, for example when the disk is full."""
        assert self._file is not None, "begin() or restore() comes first"
        with self._errors("cannot be written"):
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        self._hash.update(data)
        self.size += len(data)

    def sync(self) -> None:
        """Make all that was written survive the death of process and machine."""
        if self._file is not None:
            with self._errors("cannot be synced"):
                os.fsync(self._file.fileno())

    def restore(self, size: int, sha256: str) -> bool:
        """Go back to the first ``size`` bytes of an earlier part file, whose hash is known.

        True if the file had been published already (and nobody was told): then it was taken back from
        there. Raises SinkError if those bytes are nowhere.
        """
        self.close()
        with self._errors("cannot be reopened"):
            published = (
                not self.path.exists() and self.target.is_file() and self.target.stat().st_size >= size
            )
            source = self.target if published else self.path
            if not source.exists():
                raise SinkError(
                    f"{self.path} is gone, so {self.target} cannot be continued",
                    fix="start a new run: it writes the whole file again",
                )
            found = source.stat().st_size
            if found < size:
                raise SinkError(
                    f"{self.path} has {found:,} bytes, but {size:,} are on record",
                    fix="somebody changed it; start a new run: it writes the whole file again",
                )
            # A file of its own: a process that was given up for dead may still have the old one open.
            # It is whole, and on the disk, before it takes the name: this process may die at any instant.
            fresh = self.path.with_name(self.path.name + ".taken")
            shutil.copyfile(source, fresh)
            with open(fresh, "rb") as copied:
                os.fsync(copied.fileno())
            os.replace(fresh, self.path)
            self._file = open(self.path, "r+b", buffering=0)  # noqa: SIM115 - closed by close()
            self._hash = hashlib.sha256()
            left = size
            while left and (data := self._file.read(min(left, _COPY_BYTES))):
                self._hash.update(data)
                left -= len(data)
            if self.sha256 != sha256:
                raise SinkError(
                    f"the first {size:,} bytes of {self.path} are not those on record",
                    fix="somebody changed it; start a new run: it writes the whole file again",
                )
            self._file.truncate(size)
            self._file.seek(size)
            self.size = size
        return published

    def cut(self, size: int) -> None:
        """Forget all but the first ``size`` bytes."""
        self.sync()
        self._hash = hashlib.sha256()
        with self._errors("cannot be read again"), open(self.path, "rb") as written:
            left = size
            while left and (data := written.read(min(left, _COPY_BYTES))):
                self._hash.update(data)
                left -= len(data)
        self.restore(size, self.sha256)

    def publish(self, *, replace: bool) -> None:
        """Put the file in its place, in one step.

        Raises FileExistsError if there is something already and ``replace`` is False, SinkError for
        everything else.
        """
        self.sync()
        with self._errors("cannot be published as " + str(self.target)):
            self._must_be_ours()
            self.close()
            if replace:
                os.replace(self.path, self.target)
            else:
                self._publish_new()
            sync_directory(self.target.parent)

    def _must_be_ours(self) -> None:
        """The name may lead to the file of a process that has taken over: that one is not complete."""
        if self._file is not None and not os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
            raise SinkError(
                f"{self.path} is not the file any more that this process wrote",
                fix="another process has taken over the run; nothing needs to be done",
            )

    def _publish_new(self) -> None:
        try:
            os.link(self.path, self.target)
        except FileExistsError:
            raise
        except OSError:
            # No hard links here (some network file systems): a small window is the best there is.
            if self.target.exists():
                raise FileExistsError(self.target) from None
            os.replace(self.path, self.target)
        else:
            os.unlink(self.path)

    def close(self) -> None:
        """Close the file; what was written stays for a resume."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            if error.filename != str(self.path.parent):
                raise
            raise SinkError(f"{self.path.parent} is a file, not a directory") from error
        except OSError as error:
            raise SinkError(
                f"{self.path} {what}: {error.strerror or error}; {self.size:,} bytes were written before",
                fix=_remedy(error),
            ) from error


def sync_directory(path: Path) -> None:
    """Make a rename in this directory survive the death of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, then go on with `elspeth resume`: what was committed is safe"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "give this user the right to write there, or choose another path"
    return "when the cause is removed, go on with `elspeth resume`: what was committed is safe"
