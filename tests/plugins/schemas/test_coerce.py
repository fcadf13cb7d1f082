"""Coercion of text cells and of native values: the column way and the row way agree."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.schemas import CellCoercer, RowCoercer, Unfit, infer_columns
from elspeth.plugins.schemas.coerce import Column
from elspeth.plugins.schemas.native import native_row, native_value

CELLS = st.one_of(
    st.text(max_size=6),
    st.from_regex(r"[+-]?[0-9]{0,5}(\.[0-9]{0,3})?(e[0-9])?", fullmatch=True),
    st.sampled_from(
        [
            "",
            " ",
            "nan",
            "inf",
            "true",
            "TRUE",
            "no",
            "1",
            "2024-01-31",
            "2024-01-31T12:00:00Z",
            "1_0",
            "\u0661",
        ]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False).map(repr),
    st.datetimes().map(datetime.isoformat),
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(FieldType)), st.booleans(), st.booleans(), st.lists(CELLS, min_size=1, max_size=40)
)
def test_a_chunk_gives_what_its_rows_give(kind, required, inferred, cells):
    if inferred:
        kind, required = infer_columns([[cell] for cell in cells[:2]], 1)[0], False
    coercer = CellCoercer([Column(FieldSpec("v", kind, required=required), inferred=inferred)])
    one_by_one = [coercer.row([cell]) for cell in cells]
    together = coercer.chunk([[cell] for cell in cells])
    assert repr(together) == repr(one_by_one)


@settings(max_examples=200, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=6))
def test_what_is_inferred_takes_every_cell_it_was_inferred_from(cells):
    (kind,) = infer_columns([[cell] for cell in cells], 1)
    rows = CellCoercer([Column(FieldSpec("v", kind, required=False), inferred=True)]).chunk(
        [[cell] for cell in cells]
    )
    assert not any(isinstance(row, Unfit) for row in rows)
    for cell, row in zip(cells, rows, strict=True):
        if kind is FieldType.INT and cell:
            assert str(row["v"]) == cell
        if kind is FieldType.FLOAT and cell:
            assert Decimal(repr(row["v"])) == Decimal(cell)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("int", "12", 12),
        ("int", 5.0, 5),
        ("int", Decimal("7"), 7),
        ("int", Decimal("1E+40"), 10**40),
        ("float", 3, 3.0),
        ("float", Decimal("0.1"), 0.1),
        ("bool", 1, True),
        ("decimal", 0.1, Decimal("0.1")),
        ("decimal", 2**70, Decimal(2**70)),
        ("date", datetime(2024, 1, 31), date(2024, 1, 31)),  # noqa: DTZ001
        ("datetime", date(2024, 1, 31), datetime(2024, 1, 31)),  # noqa: DTZ001
        ("str", 5, "5"),
        ("str", True, "true"),
        ("str", datetime(2024, 1, 31, tzinfo=UTC), "2024-01-31T00:00:00+00:00"),
        ("str", "", ""),
        ("any", [1], [1]),
    ],
)
def test_native_values_are_coerced_exactly(kind, value, expected):
    coercer = RowCoercer(PluginSchema(SchemaMode.FLEXIBLE, (FieldSpec("v", FieldType(kind)),)))
    (row,) = coercer.chunk([{"v": value}])
    assert row == {"v": expected}
    assert type(row["v"]) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("int", True, "True is not a whole number"),
        ("int", 5.5, "5.5 is not a whole number"),
        ("int", float("inf"), "inf is not a whole number"),
        ("int", Decimal("7.5"), "Decimal('7.5') is not a whole number"),
        ("int", Decimal("1E+9999"), "is not a whole number"),
        ("int", None, "is null, but it is declared `v: int`; `v: int?` would accept it"),
        ("float", float("nan"), "nan is not a finite number"),
        ("float", 2**53 + 1, "would lose digits as a float"),
        ("float", 10**400, "too large for a float"),
        ("decimal", Decimal("Infinity"), "is not a finite number"),
        ("date", datetime(2024, 1, 31, 12), "has a time of day: declare it datetime"),  # noqa: DTZ001
        ("str", [1], "a list is not text"),
        ("bool", 2, "2 is not true or false"),
    ],
)
def test_native_values_that_do_not_fit_say_why(kind, value, reason):
    coercer = RowCoercer(PluginSchema(SchemaMode.FLEXIBLE, (FieldSpec("v", FieldType(kind)),)))
    good, bad = coercer.chunk([{"v": None, "x": 1} if kind == "any" else {"v": "1"}, {"v": value}])
    assert isinstance(bad, Unfit)
    assert bad.field == "v"
    assert reason in bad.reason
    assert good is not None


def test_optional_fields_may_be_missing_null_or_blank():
    coercer = RowCoercer(PluginSchema(SchemaMode.FIXED, (FieldSpec("v", FieldType.INT, required=False),)))
    assert coercer.chunk([{}, {"v": None}, {"v": " "}, {"v": 1}]) == [{}, {"v": None}, {"v": None}, {"v": 1}]


def test_native_values_of_drivers():
    row, field, reason = native_row({"a": memoryview(b"x"), "b": (1, {2}), "c": float("nan")})
    assert row == {"a": b"x", "b": [1, [2]], "c": "nan"}
    assert (field, reason) == ("c", "field 'c': nan is not a finite number")
    with pytest.raises(ValueError, match="a object is not data"):
        native_value(object())
