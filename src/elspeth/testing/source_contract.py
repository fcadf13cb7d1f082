"""What every source must hold to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from elspeth.contracts.plugins import Quarantined, Row, Source
from elspeth.testing.checks import (
    check,
    check_close_twice,
    check_identity,
    check_json,
    check_options,
    check_row,
    context,
    files,
    same,
    snapshot,
)

Item = Row | Quarantined


class SourceContract(ABC):
    """Subclass it, write `make`; see `elspeth.testing`. pytest gives every test a directory of its own.

    ``least`` is how many items the input has at least: a position is tested at each of them.
    """

    least = 3

    @abstractmethod
    def make(self, directory: Path) -> Source:
        """A new source over the same input; write the input into ``directory`` if it needs files."""

    def test_has_an_identity(self, tmp_path: Path) -> None:
        """Name, version, determinism, options model."""
        check_identity(self.make(tmp_path))

    def test_options_are_described_and_closed(self, tmp_path: Path) -> None:
        """JSON Schema with descriptions; unknown options are refused."""
        check_options(self.make(tmp_path))

    def test_leaves_its_input_alone(self, tmp_path: Path) -> None:
        """Neither making it nor reading writes anything."""
        self.make(tmp_path)
        before = files(tmp_path)
        self._load(tmp_path)
        check(files(tmp_path) == before, "reading changed files")

    def test_items_are_well_formed(self, tmp_path: Path) -> None:
        """Rows that can be recorded, or Quarantined with what is known and why."""
        items = self._load(tmp_path)
        check(len(items) >= self.least, f"there must be at least {self.least} items, there are {len(items)}")
        for number, item in enumerate(items):
            if isinstance(item, Quarantined):
                check(item.reason, f"item {number} is quarantined without a reason")
                check_row(item.raw, f"the raw data of item {number}")
            else:
                check_row(item, f"item {number}")

    def test_rows_belong_to_who_gets_them(self, tmp_path: Path) -> None:
        """Every row is a dict of its own and is not changed after it was yielded."""
        source, ctx = self.make(tmp_path), context()
        source.on_start(ctx)
        items: list[Item] = []
        copies: list[Item] = []
        for item in source.load(ctx):
            items.append(item)
            copies.append(snapshot(item))
        source.close()
        rows = [item for item in items if isinstance(item, dict)]
        check(len({id(row) for row in rows}) == len(rows), "two rows are one and the same dict")
        check(_equal(items, copies), "a row was changed after it was yielded")

    def test_two_loads_give_the_same(self, tmp_path: Path) -> None:
        """The same items in the same order."""
        check(_equal(self._load(tmp_path), self._load(tmp_path)), "a second load gave other items")

    def test_goes_on_at_any_position(self, tmp_path: Path) -> None:
        """After every item: position(), seek() in a new source, and exactly the rest comes."""
        every = self._load(tmp_path)
        for count in range(len(every) + 1):
            position = self._position_after(tmp_path, count)
            check_json(position, f"the position after {count} items")
            rest = self._load(tmp_path, position)
            check(
                _equal(rest, every[count:]),
                f"behind the position after {count} of {len(every)} items came {len(rest)} items "
                f"that are not the other {len(every) - count}; does position() count what was read ahead?",
            )

    def test_goes_on_twice(self, tmp_path: Path) -> None:
        """A position that was taken after a seek is as good as any."""
        every = self._load(tmp_path)
        position = self._position_after(tmp_path, 1)
        position = self._position_after(tmp_path, 1, position)
        check(_equal(self._load(tmp_path, position), every[2:]), "a resumed source gave a wrong position")

    def test_promises_are_kept(self, tmp_path: Path) -> None:
        """Every row has the fields that output_schema promises."""
        source, ctx = self.make(tmp_path), context()
        source.on_start(ctx)
        rows = [item for item in source.load(ctx) if isinstance(item, dict)]
        promised = source.output_schema.promises
        source.close()
        for row in rows:
            check(promised <= row.keys(), f"promised fields are missing: {sorted(promised - row.keys())}")

    def test_can_be_looked_at_before_it_is_read(self, tmp_path: Path) -> None:
        """check() finds nothing wrong; preview_schema() and the schema observed promise what comes."""
        source, ctx = self.make(tmp_path), context()
        check(list(source.check()) == [], f"check() refuses its own input: {list(source.check())!r}")
        previewed = source.preview_schema().promises
        source.on_start(ctx)
        rows = [item for item in source.load(ctx) if isinstance(item, dict)]
        observed = source.observed_schema()
        source.close()
        for row in rows:
            check(previewed <= row.keys(), f"preview_schema() promised {sorted(previewed)}, got {row!r}")
            if observed is not None:
                check(observed.promises <= row.keys(), f"observed_schema() does not fit {row!r}")

    def test_size_hint_is_a_count_or_nothing(self, tmp_path: Path) -> None:
        """None, or a number that is not negative."""
        source = self.make(tmp_path)
        source.on_start(context())
        hint = source.size_hint()
        source.close()
        check(hint is None or (isinstance(hint, int) and hint >= 0), f"size_hint() gave {hint!r}")

    def test_close_may_be_called_at_any_time(self, tmp_path: Path) -> None:
        """Never started, twice, and in the middle of a load."""
        check_close_twice(self.make(tmp_path), self.make(tmp_path))
        self._position_after(tmp_path, 1)

    def _load(self, directory: Path, position: Mapping[str, Any] | None = None) -> list[Item]:
        source, ctx = self.make(directory), context()
        source.on_start(ctx)
        if position is not None:
            source.seek(position)
        items = list(source.load(ctx))
        source.close()
        return items

    def _position_after(
        self, directory: Path, count: int, start: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """The position after ``count`` items, as a resume would find it."""
        source, ctx = self.make(directory), context()
        source.on_start(ctx)
        if start is not None:
            source.seek(start)
        items = source.load(ctx)
        for _ in islice(items, count):
            pass
        position: Mapping[str, Any] = snapshot(dict(source.position()))
        source.close()
        return position


def _equal(left: list[Item], right: list[Item]) -> bool:
    return len(left) == len(right) and all(
        same(_plain(a), _plain(b)) for a, b in zip(left, right, strict=True)
    )


def _plain(item: Item) -> Any:
    return (item.raw, item.reason, item.field, item.line) if isinstance(item, Quarantined) else item
