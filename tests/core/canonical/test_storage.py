"""Storage: what comes back is what went in."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from elspeth.contracts.errors import CanonicalError, LandscapeError
from elspeth.core.canonical import dump, dump_values, load, load_values, row_digest


def test_plain_values() -> None:
    values = ["a", 1, 5.0, None, True, 1e300, 5e-324]
    assert dump_values(values).startswith(b'["a",1,5.0,null,true,')
    back = load_values(dump_values(values))
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


def test_the_sign_of_zero_is_kept() -> None:
    assert math.copysign(1, load_values(dump_values([-0.0]))[0]) == -1


@pytest.mark.parametrize("number", [2**53 - 1, 2**53, 2**63, 2**64, -(2**70)])
def test_large_integers(number: int) -> None:
    values = [number, "x", [number]]
    assert load_values(dump_values(values)) == values


def test_a_dict_keeps_its_order() -> None:
    assert list(load(dump({"b": 1, "a": 2}))) == ["b", "a"]


def test_a_user_cannot_write_a_tag() -> None:
    value = {"$elspeth": ["decimal", "1.50"], "x": {"$elspeth": ["dict", {"y": Decimal(2)}]}}
    assert load(dump(value)) == value


def test_a_named_zone_becomes_its_offset() -> None:
    when = datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    back = load(dump(when))
    assert back == when
    assert back.isoformat() == "2024-07-01T12:00:00+02:00"


def test_the_digest_survives_storage() -> None:
    row: dict[str, Any] = {"a": 5.0, "b": (1, Decimal("1.0")), "c": 2**60, "d": "ü"}
    again = dict(zip(row, load_values(dump_values(list(row.values()))), strict=True))
    assert row_digest(again) == row_digest(row)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {1: 2}])
def test_what_cannot_be_stored(value: Any) -> None:
    for attempt in (lambda: dump_values([1, value]), lambda: dump([1, value])):
        with pytest.raises(CanonicalError) as caught:
            attempt()
        assert caught.value.path.startswith("[1]")


@pytest.mark.parametrize(
    "data", [b"", b"[1", b'{"a":1}', '["a"', b'[{"$elspeth":["decimal","x"]}]', b'[{"$elspeth":["?",1]}]']
)
def test_damaged_storage_is_a_clear_error(data: bytes | str) -> None:
    with pytest.raises(LandscapeError, match="stored"):
        load_values(data)
