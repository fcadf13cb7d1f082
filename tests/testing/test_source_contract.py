"""The contract for sources finds what it is there to find."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from elspeth.contracts.plugins import PluginContext, Quarantined, Row
from elspeth.contracts.schema import PluginSchema
from elspeth.plugins.sources.base import BaseSource
from elspeth.testing import SourceContract


class Good(BaseSource):
    name = "good"
    next = 0

    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        while self.next < 4:
            self.next += 1
            yield {"n": self.next} if self.next != 3 else Quarantined({"n": "x"}, "no number", "n", 3)

    def position(self) -> Mapping[str, Any]:
        return {"next": self.next}

    def seek(self, position: Mapping[str, Any]) -> None:
        self.next = position["next"]


class ReadsAhead(Good):
    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        yield from list(super().load(ctx))


class OneDict(Good):
    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        row: Row = {}
        for item in super().load(ctx):
            if isinstance(item, dict):
                row.update(item)
                yield row


class NoReason(Good):
    def load(self, ctx: PluginContext) -> Iterator[Row | Quarantined]:
        yield from [{"n": 1}, {"n": 2}, Quarantined({}, "")]


class Promising(Good):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.output_schema = PluginSchema(guaranteed=frozenset({"never"}))


class Hinting(Good):
    def size_hint(self) -> int:
        return -1


class BytesPosition(Good):
    def position(self) -> Mapping[str, Any]:
        return {"next": b"1"}


def contract_of(source: type[BaseSource]) -> SourceContract:
    class Contract(SourceContract):
        def make(self, directory: Path) -> Any:
            return source({})

    return Contract()


def test_good_one_passes(tmp_path: Path) -> None:
    contract = contract_of(Good)
    for name in dir(contract):
        if name.startswith("test_"):
            getattr(contract, name)(tmp_path)


@pytest.mark.parametrize(
    ("source", "test", "message"),
    [
        (ReadsAhead, "test_goes_on_at_any_position", r"after 1 of 4 .*count what was read ahead\?"),
        (OneDict, "test_rows_belong_to_who_gets_them", "one and the same dict"),
        (NoReason, "test_items_are_well_formed", "item 2 is quarantined without a reason"),
        (Promising, "test_promises_are_kept", r"promised fields are missing: \['never'\]"),
        (Hinting, "test_size_hint_is_a_count_or_nothing", r"size_hint\(\) gave -1"),
        (BytesPosition, "test_goes_on_at_any_position", "the position after 0 items is not JSON"),
    ],
)
def test_bad_ones_are_found(source: type[BaseSource], test: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        getattr(contract_of(source), test)(tmp_path)
