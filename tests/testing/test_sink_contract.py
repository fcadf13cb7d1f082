"""The contract for sinks finds what it is there to find."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.plugins import Artifact, PluginContext, Row, RowFailure
from elspeth.plugins.sinks.base import BaseSink
from elspeth.testing import SinkContract


class Good(BaseSink):
    """Numbers as lines; written beside the target, and moved there by publish()."""

    name = "good"
    path = Path()
    count = 0

    @property
    def part(self) -> Path:
        return self.path.with_suffix(".part")

    def on_start(self, ctx: PluginContext) -> None:
        self.part.touch()

    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        failures = [RowFailure(i, "no number") for i, row in enumerate(rows) if not isinstance(row["n"], int)]
        good = [row for row in rows if isinstance(row["n"], int)]
        with self.part.open("a") as out:
            out.writelines(f"{row['n']}\n" for row in good)
        self.count += len(good)
        return failures

    def position(self) -> Mapping[str, Any]:
        return {"size": self.part.stat().st_size, "count": self.count}

    def restore(self, position: Mapping[str, Any]) -> None:
        with self.part.open("r+") as out:
            out.truncate(position["size"])
        self.count = position["count"]

    def publish(self) -> Artifact:
        self.part.rename(self.path)
        data = self.path.read_bytes()
        return Artifact(str(self.path), hashlib.sha256(data).hexdigest(), len(data), self.count)

    def targets(self) -> Sequence[str]:
        return [str(self.path)]


class Eager(Good):
    @property
    def part(self) -> Path:
        return self.path


class PublishesOnClose(Good):
    def close(self) -> None:
        if self.part.exists():
            self.part.rename(self.path)


class Forgetful(Good):
    def restore(self, position: Mapping[str, Any]) -> None:
        self.count = position["count"]


class WrongHash(Good):
    def publish(self) -> Artifact:
        return replace(super().publish(), content_hash="0" * 64)


class Headed(Good):
    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        with self.part.open("a") as out:
            out.write("# a call\n")
        return super().write(rows, ctx)


class Marking(Good):
    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        for row in rows:
            row["written"] = True
        return super().write(rows, ctx)


class WrongIndex(Good):
    def write(self, rows: Sequence[Row], ctx: PluginContext) -> Sequence[RowFailure]:
        return [RowFailure(failure.index + 1, failure.reason) for failure in super().write(rows, ctx)]


class Relative(Good):
    def targets(self) -> Sequence[str]:
        return ["out.txt"]


class WritesAtBirth(Good):
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "path":
            self.part.touch()


def contract_of(sink: type[Good]) -> SinkContract:
    class Contract(SinkContract):
        def make(self, directory: Path) -> Any:
            made = sink({})
            made.path = directory / "out.txt"
            return made

        def rows(self) -> list[Row]:
            return [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]

        def bad_row(self) -> Row | None:
            return {"n": "x"}

    return Contract()


@pytest.mark.parametrize("test", [name for name in dir(SinkContract) if name.startswith("test_")])
def test_good_one_passes(test: str, tmp_path: Path) -> None:
    getattr(contract_of(Good), test)(tmp_path)


@pytest.mark.parametrize(
    ("sink", "test", "message"),
    [
        (Eager, "test_nothing_is_visible_before_publish", r"visible after write\(\)"),
        (PublishesOnClose, "test_nothing_is_visible_before_publish", r"close\(\) made rows visible"),
        (Forgetful, "test_comes_back_to_any_position", "after a crash behind 0 rows .* is another one"),
        (WrongHash, "test_publish_shows_everything", "the hash is not the file's"),
        (Headed, "test_calls_do_not_matter", "depends on how the rows were cut"),
        (Marking, "test_rows_are_not_changed", r"write\(\) changed rows"),
        (WrongIndex, "test_failed_rows_are_named", "should name row 1"),
        (Relative, "test_targets_are_absolute", r"not an absolute path nor a URI: out\.txt"),
        (WritesAtBirth, "test_making_one_writes_nothing", "wrote files"),
    ],
)
def test_bad_ones_are_found(sink: type[Good], test: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        getattr(contract_of(sink), test)(tmp_path)
