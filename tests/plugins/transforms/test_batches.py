"""``batch_stats``, ``batch_replicate`` and ``batch_top_k``: what comes of a batch."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.contracts import PluginContext, Row, TokenInfo, TransformResult
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.registry import load_catalog


def result_of(plugin: str, options: dict[str, Any], rows: Sequence[Row]) -> TransformResult:
    tokens = [TokenInfo(f"r{number}", f"r{number}-0") for number in range(len(rows))]
    made: TransformResult = (
        load_catalog().transform(plugin)(options).process_batch(rows, PluginContext(tokens=tokens))
    )
    return made


def rows_of(plugin: str, options: dict[str, Any], rows: Sequence[Row]) -> list[Row]:
    result = result_of(plugin, options, rows)
    assert result.status == "success", result.reason
    return list(result.rows or ())


def values(*items: Any) -> list[Row]:
    return [{"x": item} for item in items]


class TestStats:
    def test_one_row_for_all(self) -> None:
        assert rows_of("batch_stats", {"value_field": "x"}, values(3, 1, 8)) == [
            {"batch_size": 3, "count": 3, "missing": 0, "sum": 12, "min": 1, "max": 8, "mean": 4.0}
        ]

    def test_groups_in_order_of_their_first_rows(self) -> None:
        rows = [{"c": "b", "x": 1}, {"c": "a", "x": 2}, {"c": "b", "x": 3}, {"x": 9}]
        made = rows_of("batch_stats", {"value_field": "x", "group_by": "c", "compute_mean": False}, rows)
        assert [(row["c"], row["count"], row["sum"]) for row in made] == [
            ("b", 2, 4),
            ("a", 1, 2),
            (None, 1, 9),
        ]
        assert all("mean" not in row for row in made)

    def test_several_fields_make_a_group(self) -> None:
        rows = [{"c": "a", "d": [1], "x": 1}, {"c": "a", "d": [2], "x": 2}, {"c": "a", "d": [1], "x": 3}]
        made = rows_of("batch_stats", {"value_field": "x", "group_by": ["c", "d"]}, rows)
        assert [(row["d"], row["sum"]) for row in made] == [([1], 4), ([2], 2)]

    def test_true_is_not_one_and_five_is_five(self) -> None:
        rows = [{"c": 1, "x": 1}, {"c": True, "x": 2}, {"c": 1.0, "x": 4}]
        made = rows_of("batch_stats", {"value_field": "x", "group_by": "c"}, rows)
        assert [row["sum"] for row in made] == [5, 2]

    def test_what_is_missing_is_counted_and_not_summed(self) -> None:
        (row,) = rows_of("batch_stats", {"value_field": "x"}, [*values(2, None), {}])
        assert (row["batch_size"], row["count"], row["missing"], row["sum"]) == (3, 1, 2, 2)

    def test_nothing_has_no_sum(self) -> None:
        (row,) = rows_of("batch_stats", {"value_field": "x"}, values(None))
        assert [row[name] for name in ("sum", "min", "max", "mean")] == [None] * 4

    @given(st.lists(st.integers(), min_size=1))
    def test_integers_are_exact(self, items: list[int]) -> None:
        (row,) = rows_of("batch_stats", {"value_field": "x"}, values(*items))
        assert (row["sum"], row["min"], row["max"]) == (sum(items), min(items), max(items))
        assert row["mean"] == sum(items) / len(items)

    @given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=4) | st.integers()))
    def test_decimals_are_exact(self, items: list[Any]) -> None:
        items = [*items, Decimal("0.1")]
        (row,) = rows_of("batch_stats", {"value_field": "x"}, values(*items))
        assert Fraction(row["sum"]) == sum(map(Fraction, items))
        exact = mean(map(Fraction, items))
        assert abs(Fraction(row["mean"]) - exact) <= abs(exact) / 10**27

    @given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9), st.randoms())
    def test_floats_are_rounded_once_in_any_order(self, items: list[float], random: Any) -> None:
        (row,) = rows_of("batch_stats", {"value_field": "x"}, values(*items))
        exact = sum(map(Fraction, items))
        assert (row["sum"], row["mean"]) == (float(exact), float(exact / len(items)))
        random.shuffle(items)
        assert rows_of("batch_stats", {"value_field": "x"}, values(*items)) == [row]

    def test_integers_among_floats_keep_their_value(self) -> None:
        (row,) = rows_of("batch_stats", {"value_field": "x"}, values(2**53, 1, 0.5, -(2**53)))
        assert row["sum"] == 1.5

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            ("many", "row 2 of the 3 in this batch: field 'x' holds text, not a number"),
            (True, "row 2 of the 3 in this batch: field 'x' holds true/false, not a number"),
            (0.5, "row 2 of the 3 in this batch: field 'x' holds floating-point and decimal numbers,"
                  " which have no exact sum"),
        ],
    )  # fmt: skip
    def test_a_value_without_a_sum_is_named(self, bad: Any, error: str) -> None:
        result = result_of("batch_stats", {"value_field": "x"}, values(Decimal(1), bad, 3))
        assert dict(result.reason or {}) == {
            "error": error, "field": "x", "kind": "wrong_type", "row_in_batch": 1, "token_id": "r1-0"
        }  # fmt: skip

    @pytest.mark.parametrize("items", [(1e308, 1e308), (Decimal("1e9000"), Decimal("1e-9000"))])
    def test_sums_that_cannot_be_are_errors(self, items: tuple[Any, ...]) -> None:
        reason = result_of("batch_stats", {"value_field": "x"}, values(*items)).reason
        assert (reason or {})["error"] == "the sum of 'x' is too large, or has too many digits"

    def test_a_mean_of_great_integers_that_no_float_holds_is_an_error(self) -> None:
        assert result_of("batch_stats", {"value_field": "x"}, values(10**400)).status == "error"

    def test_what_comes_out_is_known_at_validation(self) -> None:
        stats = load_catalog().transform("batch_stats")({"value_field": "x", "group_by": "c"})
        incoming = PluginSchema(
            SchemaMode.FIXED, (FieldSpec("c", FieldType.STR), FieldSpec("x", FieldType.INT))
        )
        made = stats.output_schema(incoming)
        assert made.mode is SchemaMode.FIXED
        assert [str(spec) for spec in made.fields] == [
            "c: str", "batch_size: int", "count: int", "missing: int", "sum: int", "min: int", "max: int",
            "mean: float",
        ]  # fmt: skip
        assert stats.input_schema.demands == {"c", "x"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "value_field"),
            ({"value_field": "x", "group_by": "count"}, "'count' is a field of the result"),
            ({"value_field": "x", "group_by": ["a", "a"]}, "field 'a' is named twice"),
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            load_catalog().transform("batch_stats")(options)


class TestReplicate:
    def test_each_row_as_often_as_it_says(self) -> None:
        rows = [{"id": 1, "n": 2}, {"id": 2, "n": 0}, {"id": 3, "n": None}, {"id": 4}]
        made = rows_of("batch_replicate", {"copies_field": "n", "default_copies": 1}, rows)
        assert [(row["id"], row["copy_index"]) for row in made] == [(1, 0), (1, 1), (3, 0), (4, 0)]

    def test_without_an_index_rows_stay_as_they_are(self) -> None:
        made = rows_of("batch_replicate", {"default_copies": 2, "include_copy_index": False}, values(7))
        assert made == values(7, 7)
        assert made[0] is not made[1]

    @pytest.mark.parametrize(
        ("count", "error"),
        [
            (-1, "field 'n' asks for -1 copies; 0 to 5 are possible"),
            (6, "field 'n' asks for 6 copies; 0 to 5 are possible"),
            (True, "field 'n' holds true/false, not a whole number of copies"),
            ("2", "field 'n' holds text, not a whole number of copies"),
        ],
    )
    def test_a_number_that_makes_no_sense_is_named(self, count: Any, error: str) -> None:
        result = result_of(
            "batch_replicate", {"copies_field": "n", "max_copies": 5}, [{"n": 1}, {"n": count}]
        )
        assert (result.reason or {})["error"] == f"row 2 of the 2 in this batch: {error}"

    def test_a_field_of_the_row_is_not_overwritten(self) -> None:
        reason = result_of("batch_replicate", {}, [{"copy_index": 1}]).reason
        assert "the row already has a field of that name" in (reason or {})["error"]

    def test_default_copies_within_the_limit(self) -> None:
        with pytest.raises(ValidationError, match="default_copies is 3, and max_copies 2"):
            load_catalog().transform("batch_replicate")({"default_copies": 3, "max_copies": 2})

    def test_the_index_is_promised(self) -> None:
        made = load_catalog().transform("batch_replicate")({}).output_schema(PluginSchema())
        assert made.promises == {"copy_index"}


class TestTopK:
    def test_the_greatest_first_and_ties_as_they_came(self) -> None:
        rows = [{"id": 1, "x": 5}, {"id": 2, "x": 9}, {"id": 3, "x": 5.0}, {"id": 4, "x": None}, {"id": 5}]
        assert [row["id"] for row in rows_of("batch_top_k", {"field": "x", "k": 3}, rows)] == [2, 1, 3]

    def test_the_least_per_group(self) -> None:
        rows = [{"g": g, "x": x} for g, x in (("b", 3), ("a", 2), ("b", 1), ("b", 2), ("a", 7))]
        made = rows_of("batch_top_k", {"field": "x", "k": 2, "order": "asc", "group_by": "g"}, rows)
        assert [(row["g"], row["x"]) for row in made] == [("b", 1), ("b", 2), ("a", 2), ("a", 7)]

    @given(st.lists(st.integers(-5, 5)), st.integers(1, 9), st.booleans())
    def test_as_sorted_says(self, items: list[int], k: int, down: bool) -> None:
        rows = [{"id": number, "x": item} for number, item in enumerate(items)] or [{"id": 0, "x": None}]
        made = rows_of("batch_top_k", {"field": "x", "k": k, "order": "desc" if down else "asc"}, rows)
        ranked = sorted(enumerate(items), key=lambda pair: (-pair[1] if down else pair[1], pair[0]))
        assert [(row["id"], row["x"]) for row in made] == ranked[:k]

    @pytest.mark.parametrize(
        ("items", "error"),
        [
            ((1, "a"), "row 2 of the 2 in this batch: field 'x' holds text, and earlier rows hold numbers"),
            (([1],), "row 1 of the 1 in this batch: field 'x' holds a list, which has no rank"),
            ((date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
             "row 2 of the 2 in this batch: field 'x' holds a date and time, and earlier rows hold dates"),
            ((datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
             "field 'x' holds times with and without a time zone: they have no order"),
        ],
    )  # fmt: skip
    def test_values_without_an_order_are_named(self, items: tuple[Any, ...], error: str) -> None:
        result = result_of("batch_top_k", {"field": "x", "k": 1}, values(*items))
        assert (result.reason or {})["error"] == error

    def test_what_comes_out_looks_like_what_came_in(self) -> None:
        incoming = PluginSchema(SchemaMode.FIXED, (FieldSpec("x", FieldType.INT),))
        top = load_catalog().transform("batch_top_k")({"field": "x", "k": 1})
        assert top.output_schema(incoming) == incoming
