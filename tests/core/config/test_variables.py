"""``${NAME}`` in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.core.config.variables import expand

ENVIRON = {"HOST": "db", "EMPTY": "", "NESTED": "${HOST}", "lower_1": "x"}


@pytest.mark.parametrize(
    ("text", "expected", "used"),
    [
        ("plain $HOST {HOST}", "plain $HOST {HOST}", ()),
        ("${HOST}", "db", ("HOST",)),
        ("a-${HOST}-${lower_1}", "a-db-x", ("HOST", "lower_1")),
        ("${HOST:-other}", "db", ("HOST",)),
        ("${NOPE:-other}", "other", ()),
        ("${NOPE:-}", "", ()),
        ("${EMPTY:-other}", "other", ()),
        ("${EMPTY}", "", ("EMPTY",)),
        ("${NOPE:-a:b-c d}", "a:b-c d", ()),
        ("$${HOST}", "${HOST}", ()),
        ("$${HOST} ${HOST}", "${HOST} db", ("HOST",)),
        ("$$${HOST}", "$${HOST}", ()),
        ("${NESTED}", "${HOST}", ("NESTED",)),
    ],
)
def test_expansion(text, expected, used):
    assert expand(text, ENVIRON) == (expected, used, (), ())


def test_missing_variables_are_named_and_left():
    assert expand("${A}/${HOST}/${B}", ENVIRON) == ("${A}/db/${B}", ("HOST",), ("A", "B"), ())


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "${HOST", "${HOST:?no}", "${{ x }}"])
def test_broken_references_are_named(text):
    assert expand(text, ENVIRON).broken == (text[:12],)


@given(st.text())
def test_text_without_references_is_untouched(text):
    if "${" not in text:
        assert expand(text, {}) == (text, (), (), ())


@given(st.text())
def test_escaping_is_always_possible(text):
    escaped = text.replace("${", "$${")
    if "$${" not in text and "$$" not in text:
        assert expand(escaped, {}).text == text
