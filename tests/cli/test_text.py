"""Values, sizes and times as people read them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.cli import text


@pytest.mark.parametrize(
    ("given_value", "shown"),
    [
        ("12", "'12'"), (12, "12"), (None, "none"), (True, "true"), (5.0, "5.0"), (Decimal("1.50"), "1.50"),
        (date(2026, 11, 1), "2026-11-01"), (b"abc", "<3 bytes>"), ([], "[]"), ({}, "{}"),
        ({"a": [1, "x"], "b\n": None}, "{a: [1, 'x'], b\\n: none}"),
        ("x" * 49, f"'{'x' * 47}…' (49 characters)"), ("x" * 48, f"'{'x' * 48}'"),
        (list(range(30)), f"[{', '.join(map(str, range(14)))}, … (30 items)"),
        (10**80, f"1{'0' * 46}… (81 characters)"),
        ("a\tb\x00", "'a\\tb\\x00'"), ("\u202eevil", "'\\u202eevil'"),
    ],
)  # fmt: skip
def test_a_value(given_value: Any, shown: str) -> None:
    assert text.value(given_value) == shown


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_value_is_always_one_printable_line_of_bounded_width(value: Any) -> None:
    shown = text.value(value, 40)
    assert shown.isprintable()
    assert len(shown) <= 40 * 10 + 20


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"), (0, "0 µs"), (1.2e-5, "12 µs"), (0.00099951, "1 ms"), (0.0034, "3.4 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.00 s"), (2.5, "2.50 s"), (12.34, "12.3 s"), (59.96, "1:00 min"), (65, "1:05 min"),
        (7205, "2:00:05 h"),
    ],
)  # fmt: skip
def test_a_duration(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (81_920, "81.9 kB"), (999_999, "1 MB"),
     (123_456_789, "123 MB"), (5 * 10**15, "5,000 TB")],
)  # fmt: skip
def test_a_size(count: int | None, shown: str) -> None:
    assert text.size(count) == shown


def test_quantities_and_moments() -> None:
    assert text.quantity(1, "row") == "1 row"
    assert text.quantity(2_000, "row") == "2,000 rows"
    assert text.moment(datetime(2026, 11, 21, 2, 15, 30, 5, tzinfo=UTC)) == "2026-11-21 02:15:30 UTC"
    assert text.moment(None) == "–"


def test_a_place_is_told_from_here(here: Path) -> None:
    assert text.place(str(here / "out" / "a.csv")) == "out/a.csv"
    assert text.place(f"{here}-other/a.csv") == f"{here}-other/a.csv"
    assert text.place("postgresql://host/db") == "postgresql://host/db"
