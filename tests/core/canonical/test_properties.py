"""The fast path against rfc8785, and the promise that nothing imitates anything."""

import json
import struct
from datetime import timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from elspeth.core.canonical import canonical, canonical_row, dump, dump_values, load, load_values

TAG = "$elspeth"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.one_of(text, st.sampled_from([TAG, "a", "b", "\ue000", "\U00010000"]))
json_numbers = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 10).map(lambda x: round(x, 2)),
)
json_scalars = st.one_of(st.none(), st.booleans(), text, json_numbers)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
scalars = st.one_of(
    json_scalars,
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=zones),
    st.times(),
    st.binary(max_size=8),
    st.uuids(),
    st.sampled_from(["decimal", "int", "dict", "1"]),
)


def nested(leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=10,
    )


json_rows = st.dictionaries(keys.filter(lambda key: key != TAG), nested(json_scalars, text), max_size=6)
values = nested(scalars, keys)
rows = st.dictionaries(keys, values, max_size=5)


def typed(value: Any) -> Any:
    """The value with its types, so that 1, 1.0 and True differ, and the sign of zero counts."""
    if isinstance(value, dict):
        return ("dict", [(key, typed(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [typed(item) for item in value])
    return (type(value), str(value)) if not hasattr(value, "isoformat") else (type(value), value.isoformat())


def as_jcs_sees_it(value: Any) -> Any:
    """As `typed`, but numbers as JSON has them, and dicts without order."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, as_jcs_sees_it(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(as_jcs_sees_it(item) for item in value))
    if type(value) is float or (type(value) is int and abs(value) < 2**53):
        return ("number", float(value) + 0.0)
    return typed(value)


@given(json_rows)
@example(
    {"a": 1e-5, "b": 1e15, "c": 123456789012345680.0, "d": 1e16 + 2, "e": 0.0001, "f": 999999999999999.9}
)
@settings(deadline=None)
def test_the_fast_path_writes_what_rfc8785_writes(row: dict[str, Any]) -> None:
    expected = rfc8785.dumps(row)
    assert canonical_row(row) == expected  # may learn the shape
    assert canonical_row(row) == expected  # knows the shape
    assert canonical(row) == expected


@given(rows)
@settings(deadline=None)
def test_the_fast_path_writes_what_the_general_one_writes(row: dict[str, Any]) -> None:
    assert canonical_row(row) == canonical(row) == canonical_row(row)


@given(values)
@settings(deadline=None)
def test_storage_gives_back_values_and_types(value: Any) -> None:
    assert typed(load(dump(value))) == typed(value)
    assert typed(load_values(dump_values([value, 1, "x"]))) == typed([value, 1, "x"])


@given(values, values)
@settings(deadline=None)
def test_equal_bytes_mean_equal_values(left: Any, right: Any) -> None:
    assert (canonical(left) == canonical(right)) == (as_jcs_sees_it(left) == as_jcs_sees_it(right))


@given(values)
@settings(deadline=None)
def test_no_value_imitates_a_tag(value: Any) -> None:
    """What a user could write after reading another value's canonical form is another value."""
    imitation = json.loads(canonical(value))
    if as_jcs_sees_it(imitation) != as_jcs_sees_it(value):
        assert canonical(imitation) != canonical(value)


@pytest.mark.soak
@given(st.lists(st.integers(0, 2**64 - 1), min_size=200, max_size=200))
@settings(max_examples=6_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_million_floats_soak(patterns: list[int]) -> None:
    floats = [struct.unpack("<d", struct.pack("<Q", pattern))[0] for pattern in patterns]
    floats += [round(x % 1e6, 2) for x in floats if x == x and abs(x) < 1e300]
    for x in floats:
        if x == x and abs(x) != float("inf"):
            assert canonical_row({"x": x}) == b'{"x":' + rfc8785.dumps(x) + b"}"
            assert load_values(dump_values([x])) == [x]
