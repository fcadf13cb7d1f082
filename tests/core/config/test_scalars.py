"""Scalars by the core schema of YAML 1.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.core.config.scalars import BadScalar, resolve, resolve_tagged

STANDARD = "tag:yaml.org,2002:"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("010", 10),
        ("0o17", 15),
        ("0xFf", 255),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e3", -1000.0),
        ("1E-2", 0.01),
    ],
)
def test_what_is_not_text(text, value):
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


TEXTS = """
yes no on off Yes NO On y n tRUE nULL
1_000 0b11 190:20:30 2024-01-01 2024-01-01T10:00:00Z 0o8 0xg 1e 1.2.3 . - + -- .e1 = << e5 -0x1 -. +.
hello \u0967\u0968 \uff11
"""


@pytest.mark.parametrize("text", [*TEXTS.split(), "a b", " 1", "1 "])
def test_what_stays_text(text):
    assert resolve(text) == text


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN", "1e999", "-1e400"])
def test_numbers_must_be_finite(text):
    with pytest.raises(BadScalar, match="is not a finite number"):
        resolve(text)


def test_numbers_without_end_are_refused():
    with pytest.raises(BadScalar, match="more than 1,000 digits"):
        resolve("9" * 1001)


@given(st.integers())
def test_integers_round_trip(number):
    assert resolve(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_round_trip(number):
    assert resolve(repr(number)) == number


@pytest.mark.parametrize(
    ("text", "tag", "value"),
    [
        ("5", "!", "5"),
        ("5", STANDARD + "str", "5"),
        ("5", STANDARD + "int", 5),
        ("5", STANDARD + "float", 5.0),
        ("true", STANDARD + "bool", True),
        ("", STANDARD + "null", None),
    ],
)
def test_explicit_tags(text, tag, value):
    assert resolve_tagged(text, tag) == value
    assert type(resolve_tagged(text, tag)) is type(value)


@pytest.mark.parametrize(
    ("text", "tag", "what"),
    [
        ("x", STANDARD + "int", "the value is not what its tag !!int says"),
        ("yes", STANDARD + "bool", "the value is not what its tag !!bool says"),
        ("os.system", STANDARD + "python/name:os", "the tag !!python/name:os is not supported"),
        ("int", "!int", "the tag !int is not supported"),
        ("secret.yaml", "!include", "the tag !include is not supported"),
    ],
)
def test_refused_tags(text, tag, what):
    with pytest.raises(BadScalar) as caught:
        resolve_tagged(text, tag)
    assert caught.value.what == what
