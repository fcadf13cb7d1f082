"""What every sink must hold to."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elspeth.contracts.plugins import Artifact, Row, Sink
from elspeth.testing.checks import (
    check,
    check_close_twice,
    check_identity,
    check_json,
    check_options,
    context,
    files,
    same,
    snapshot,
)


class SinkContract(ABC):
    """Subclass it, write `make` and `rows`; see `elspeth.testing`. pytest gives every test a directory."""

    @abstractmethod
    def make(self, directory: Path) -> Sink:
        """A new sink whose output is in ``directory``, always with the same options."""

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """New rows that the sink can write; three or more."""

    def bad_row(self) -> Row | None:
        """A row that the sink cannot write, if there is such a thing."""
        return None

    def visible(self, directory: Path) -> object:
        """What others see of the output: by default the files that `targets` names. None: nothing."""
        paths = [Path(target) for target in self.make(directory).targets()]
        return {path.name: path.read_bytes() for path in paths if path.is_file()} or None

    def test_has_an_identity(self, tmp_path: Path) -> None:
        """Name, version, determinism, options model, idempotent."""
        sink = self.make(tmp_path)
        check_identity(sink)
        check(isinstance(type(sink).idempotent, bool), "idempotent must be True or False")

    def test_options_are_described_and_closed(self, tmp_path: Path) -> None:
        """JSON Schema with descriptions; unknown options are refused."""
        check_options(self.make(tmp_path))

    def test_making_one_writes_nothing(self, tmp_path: Path) -> None:
        """Only on_start() may touch the world, so that a pipeline can be validated."""
        before = files(tmp_path)
        sink = self.make(tmp_path)
        sink.targets()
        problems = list(sink.check())
        sink.close()
        check(files(tmp_path) == before, "making a sink, targets() or check() wrote files")
        check(problems == [], f"check() refuses its own output: {problems!r}")

    def test_targets_are_absolute(self, tmp_path: Path) -> None:
        """Absolute paths or URIs, so that collisions can be found."""
        for target in self.make(tmp_path).targets():
            check(Path(target).is_absolute() or ":" in target, f"not an absolute path nor a URI: {target}")

    def test_nothing_is_visible_before_publish(self, tmp_path: Path) -> None:
        """Not after write(), not after flush(), and close() does not publish."""
        sink, _ = self._start(tmp_path)
        self._write(sink, self.rows())
        check(self.visible(tmp_path) is None, "rows are visible after write()")
        sink.flush()
        check(self.visible(tmp_path) is None, "rows are visible after flush()")
        sink.close()
        check(self.visible(tmp_path) is None, "close() made rows visible")

    def test_publish_shows_everything(self, tmp_path: Path) -> None:
        """All rows; the artifact tells their number, and hash and size of the whole."""
        artifact = self._publish(tmp_path, [self.rows()])
        check(artifact.rows == len(self.rows()), f"the artifact tells of {artifact.rows} rows")
        if self.make(tmp_path).targets():
            check(self.visible(tmp_path) is not None, "nothing is visible after publish()")
        path = Path(artifact.path_or_uri)
        if artifact.content_hash is not None and path.is_file():
            data = path.read_bytes()
            check(artifact.content_hash == hashlib.sha256(data).hexdigest(), "the hash is not the file's")
            check(artifact.size_bytes == len(data), "the size is not the file's")

    def test_publish_without_rows(self, tmp_path: Path) -> None:
        """A run without rows for this sink is a run like others."""
        check(self._publish(tmp_path, []).rows == 0, "the artifact tells of rows that never were")

    def test_calls_do_not_matter(self, tmp_path: Path) -> None:
        """Row by row gives the same as all at once."""
        rows = list(self.rows())
        self._publish(_sub(tmp_path, "whole"), [rows])
        self._publish(_sub(tmp_path, "single"), [[row] for row in rows])
        check(
            self.visible(tmp_path / "whole") == self.visible(tmp_path / "single"),
            "the output depends on how the rows were cut into calls of write()",
        )

    def test_rows_are_not_changed(self, tmp_path: Path) -> None:
        """The rows belong to the engine."""
        rows = list(self.rows())
        before = snapshot(rows)
        self._publish(tmp_path, [rows])
        check(same(before, rows), "write() changed rows")

    def test_comes_back_to_any_position(self, tmp_path: Path) -> None:
        """What was written after a position is forgotten, and the end is the same as without a crash."""
        rows = list(self.rows())
        check(len(rows) >= 3, "rows() must give at least three rows")
        self._publish(_sub(tmp_path, "whole"), [rows])
        expected = self.visible(tmp_path / "whole")
        for count in range(len(rows) + 1):
            for flushed in (False, True):
                place = _sub(tmp_path, f"{count}-{flushed}")
                position = self._crash(place, rows, count, flushed=flushed)
                artifact = self._publish(place, [rows[count:]], position)
                check(
                    self.visible(place) == expected,
                    f"after a crash behind {count} rows and restore() the output is another one",
                )
                check(
                    artifact.rows == len(rows), f"after restore() the artifact tells of {artifact.rows} rows"
                )

    def test_failed_rows_are_named(self, tmp_path: Path) -> None:
        """A row that can't be written is returned with its index; the rows around it are written."""
        bad = self.bad_row()
        if bad is None:
            return
        rows = list(self.rows())
        self._publish(_sub(tmp_path, "good"), [rows])
        place = _sub(tmp_path, "mixed")
        sink, ctx = self._start(place)
        failures = list(sink.write([rows[0], bad, *rows[1:]], ctx))
        check([failure.index for failure in failures] == [1], f"write() should name row 1, gave {failures!r}")
        check(all(failure.reason for failure in failures), "a failure has no reason")
        sink.flush()
        artifact = sink.publish()
        sink.close()
        check(artifact.rows == len(rows), "the artifact counts the row that was not written")
        check(self.visible(place) == self.visible(tmp_path / "good"), "the rows around a bad one suffered")

    def test_close_may_be_called_at_any_time(self, tmp_path: Path) -> None:
        """Never started, and twice."""
        check_close_twice(self.make(tmp_path), self.make(tmp_path))

    def _start(self, directory: Path, position: Mapping[str, Any] | None = None) -> tuple[Sink, Any]:
        sink, ctx = self.make(directory), context()
        sink.on_start(ctx)
        if position is not None:
            sink.restore(position)
        return sink, ctx

    def _write(self, sink: Sink, rows: Sequence[Row]) -> None:
        failures = list(sink.write(list(rows), context()))
        check(not failures, f"rows() must give rows that can be written; write() refused {failures!r}")

    def _publish(
        self, directory: Path, calls: Sequence[Sequence[Row]], position: Mapping[str, Any] | None = None
    ) -> Artifact:
        sink, _ = self._start(directory, position)
        for rows in calls:
            self._write(sink, rows)
        sink.flush()
        artifact = sink.publish()
        sink.close()
        return artifact

    def _crash(self, directory: Path, rows: list[Row], count: int, *, flushed: bool) -> Mapping[str, Any]:
        """Write ``count`` rows, take the position, write the others too, and end without publishing."""
        sink, _ = self._start(directory)
        self._write(sink, rows[:count])
        sink.flush()
        position: Mapping[str, Any] = snapshot(dict(sink.position()))
        check_json(position, f"the position after {count} rows")
        self._write(sink, rows[count:])
        if flushed:
            sink.flush()
        sink.close()
        return position


def _sub(directory: Path, name: str) -> Path:
    place = directory / name
    place.mkdir()
    return place
