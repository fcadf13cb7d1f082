"""Hashing: RFC 8785, one form per value, errors that name the field."""

import enum
import hashlib
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import rfc8785

from elspeth.contracts.errors import CanonicalError
from elspeth.core.canonical import canonical, canonical_row, digest, row_digest

EAST = timezone(timedelta(hours=5, minutes=30))


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int


def test_the_example_of_the_rfc() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(value).decode() == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e15, "1000000000000000"),
        (1e-7, "1e-7"),
        (0.00001, "0.00001"),
        (9007199254740992.0, "9007199254740992"),
        (2**53 - 1, "9007199254740991"),
        (2**53, '{"$elspeth":["int","9007199254740992"]}'),
        (-(2**64), '{"$elspeth":["int","-18446744073709551616"]}'),
        (Decimal("1.50"), '{"$elspeth":["decimal","1.50"]}'),
        (Decimal("-0E+2"), '{"$elspeth":["decimal","-0E+2"]}'),
        (date(2024, 2, 29), '{"$elspeth":["date","2024-02-29"]}'),
        (datetime(2024, 2, 29, 1, 2, 3, 4), '{"$elspeth":["datetime","2024-02-29T01:02:03.000004"]}'),  # noqa: DTZ001
        (datetime(2024, 2, 29, tzinfo=UTC), '{"$elspeth":["datetime","2024-02-29T00:00:00+00:00"]}'),
        (datetime(2024, 2, 29, tzinfo=EAST), '{"$elspeth":["datetime","2024-02-29T00:00:00+05:30"]}'),
        (time(1, 2, 3), '{"$elspeth":["time","01:02:03"]}'),
        (b"\x00\xff", '{"$elspeth":["bytes","AP8="]}'),
        (uuid.UUID(int=1), '{"$elspeth":["uuid","00000000-0000-0000-0000-000000000001"]}'),
        ((1, (2,)), "[1,[2]]"),
        ({"$elspeth": ["decimal", "1.50"]}, '{"$elspeth":["dict",{"$elspeth":["decimal","1.50"]}]}'),
        (
            {"$elspeth": 1, "a": Decimal(1)},
            '{"$elspeth":["dict",{"$elspeth":1,"a":{"$elspeth":["decimal","1"]}}]}',
        ),
        ({"\ue000": 1, "\U00010000": 2, "a": 3}, '{"a":3,"\U00010000":2,"\ue000":1}'),
    ],
)
def test_forms(value: Any, text: str) -> None:
    assert canonical(value).decode() == text
    assert canonical_row({"f": value}).decode() == f'{{"f":{text}}}'


def test_row_digest_is_sha256_of_the_canonical_row() -> None:
    row = {"id": 7, "amount": 12.5, "name": "Zoë"}
    assert canonical_row(row) == rfc8785.dumps(row)
    assert row_digest(row) == digest(row) == hashlib.sha256(rfc8785.dumps(row)).digest()


def test_order_of_keys_does_not_count() -> None:
    assert row_digest({"a": 1, "b": 2.5}) == row_digest({"b": 2.5, "a": 1})


def test_a_row_is_never_changed() -> None:
    row = {"a": 5.0, "b": Decimal("1.5"), "c": [1.0]}
    row_digest(row)
    assert repr(row) == "{'a': 5.0, 'b': Decimal('1.5'), 'c': [1.0]}"


@pytest.mark.parametrize(
    ("row", "path", "what"),
    [
        ({"amount": float("nan")}, "amount", "nan has no JSON form"),
        ({"amount": float("inf")}, "amount", "inf has no JSON form"),
        ({"amount": Decimal("NaN")}, "amount", "not a number"),
        ({"items": [{}, {"unit price": float("-inf")}]}, "items[1]['unit price']", "-inf has no JSON form"),
        ({"items": [0, {"price": float("nan")}]}, "items[1].price", "nan has no JSON form"),
        ({"name": "a\ud800"}, "name", "lone surrogate ('\\ud800' at position 1)"),
        ({"name": {"\udfff": 1}}, "name['\\udfff']", "lone surrogate"),
        ({"d": {1: "x"}}, "d['1']", "the key 1 is of type int, not str"),
        ({"d": {Colour.RED: "x"}}, "d.red", "of type Colour, not str"),
        ({"c": Colour.RED}, "c", "Colour has no canonical form (only str itself has)"),
        ({"c": Level.LOW}, "c", "Level has no canonical form (only int itself has)"),
        (
            {"c": OrderedDict(a=1)},
            "c",
            "collections.OrderedDict has no canonical form (only dict itself has)",
        ),
        ({"c": Point(1)}, "c", "Point has no canonical form"),
        ({"c": {1, 2}}, "c", "set has no canonical form"),
        ({"c": timedelta(1)}, "c", "datetime.timedelta has no canonical form"),
        ({"c": 10**5000}, "c", "more digits than Python writes"),
    ],
)
def test_errors_name_the_field(row: dict[str, Any], path: str, what: str) -> None:
    for attempt in (canonical, canonical_row, canonical_row):
        with pytest.raises(CanonicalError) as caught:
            attempt(row)
        assert what in caught.value.what
        assert caught.value.fix
        assert caught.value.path.encode("unicode_escape").decode().replace("\\\\", "\\") == path


@pytest.mark.parametrize("key", [Colour.RED, "$elspeth", "\U0001f600", 3])
def test_a_shape_seen_before_lets_no_odd_key_through(key: Any) -> None:
    plain = {"red": 1, "n": 1.5}
    canonical_row(plain)
    odd = {key: 1, "n": 1.5}
    if type(key) is str:
        assert canonical_row(odd) == canonical(odd)
    else:
        with pytest.raises(CanonicalError, match="not str"):
            canonical_row(odd)


def nested(levels: int, inner: Any = 0) -> Any:
    for level in range(levels):
        inner = {"k": inner} if level % 2 else [inner]
    return inner


def test_depth_is_limited_and_never_a_recursion_error() -> None:
    assert canonical(nested(200)).count(b"k") == 100
    for levels in (201, 5_000):
        with pytest.raises(CanonicalError, match="more than 200 levels"):
            canonical(nested(levels))
        with pytest.raises(CanonicalError, match="more than 200 levels"):
            canonical_row({"a": nested(levels)})


def test_more_shapes_than_the_cache_holds() -> None:
    for index in range(3_000):
        row = {f"k{index}": 1.5}
        assert canonical_row(row) == f'{{"k{index}":1.5}}'.encode()
