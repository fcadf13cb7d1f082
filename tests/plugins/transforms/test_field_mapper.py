"""field_mapper: renames keep the place, nothing is overwritten, what is missing is said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.contracts.plugins import PluginContext, Row
from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.transforms.field_mapper import FieldMapper

CTX = PluginContext()


def mapped(options: dict[str, Any], row: Row) -> Row:
    result = FieldMapper(options).process(row, CTX)
    assert result.status == "success", result.reason
    assert result.row is not None
    return result.row


def refusal(options: dict[str, Any], row: Row) -> dict[str, Any]:
    result = FieldMapper(options).process(row, CTX)
    assert result.status == "error"
    return dict(result.reason or {})


def problems(options: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        FieldMapper(options)
    return [error["msg"] for error in caught.value.errors()]


def test_renamed_field_keeps_its_place() -> None:
    out = mapped({"mapping": {"b": "beta"}}, {"a": 1, "b": 2, "c": 3})
    assert list(out.items()) == [("a", 1), ("beta", 2), ("c", 3)]


def test_swap() -> None:
    assert mapped({"mapping": {"a": "b", "b": "a"}}, {"a": 1, "b": 2}) == {"b": 1, "a": 2}


def test_select_only_keeps_the_mapping_in_its_order() -> None:
    out = mapped({"mapping": {"c": "c", "a": "first"}, "select_only": True}, {"a": 1, "b": 2, "c": 3})
    assert list(out.items()) == [("c", 3), ("first", 1)]


def test_drop() -> None:
    assert mapped({"drop": ["b", "never there"]}, {"a": 1, "b": 2}) == {"a": 1}


def test_a_dropped_name_can_be_taken() -> None:
    assert mapped({"mapping": {"a": "b"}, "drop": ["b"]}, {"a": 1, "b": 2}) == {"b": 1}


def test_computed_sees_the_incoming_row_and_comes_last() -> None:
    options = {"mapping": {"n": "count"}, "computed": {"twice": "row['n'] * 2", "kind": "'even'"}}
    assert list(mapped(options, {"n": 4, "x": 0}).items()) == [
        ("count", 4),
        ("x", 0),
        ("twice", 8),
        ("kind", "even"),
    ]


def test_computed_with_select_only() -> None:
    options = {"mapping": {"n": "n"}, "select_only": True, "computed": {"sum": "row['n'] + row['m']"}}
    assert mapped(options, {"n": 1, "m": 2}) == {"n": 1, "sum": 3}


def test_expression_that_fails_is_an_error_of_the_row() -> None:
    reason = refusal({"computed": {"half": "row['n'] / row['m']"}}, {"n": 1, "m": 0})
    assert reason["field"] == "half"
    assert reason["error"].startswith("'half' cannot be computed: ")
    assert "'m' is 0" in reason["error"]


def test_missing_field() -> None:
    assert refusal({"mapping": {"nmae": "title"}}, {"id": 1, "name": "x"}) == {
        "error": "field 'nmae' is missing; the row has 'id', 'name'",
        "kind": "missing_field",
        "field": "nmae",
    }


def test_missing_field_when_not_strict() -> None:
    options = {"mapping": {"a": "b", "c": "d"}, "strict": False}
    assert mapped(options, {"a": 1}) == {"b": 1}
    assert mapped({**options, "select_only": True}, {"x": 1}) == {}


def test_wide_rows_are_not_listed_in_full() -> None:
    reason = refusal({"mapping": {"x": "y"}}, {f"f{i}": i for i in range(20)})
    assert reason["error"].endswith("'f11' and 8 more")


@pytest.mark.parametrize("row", [{"a": 1, "b": 2}, {"b": 2, "a": 1}])
def test_new_name_that_is_taken(row: Row) -> None:
    assert refusal({"mapping": {"a": "b"}}, row) == {
        "error": "field 'a' cannot be renamed to 'b': the row already has a field of that name (from 'b')",
        "kind": "name_taken",
        "field": "a",
    }


def test_two_fields_to_one_name() -> None:
    assert problems({"mapping": {"a": "x", "b": "x"}}) == ["the fields 'a' and 'b' would both be called 'x'"]


def test_computed_and_mapped_to_one_name() -> None:
    assert problems({"mapping": {"a": "x"}, "computed": {"x": "1"}}) == [
        "field 'x' is both computed and the new name of 'a'"
    ]


def test_mapped_and_dropped() -> None:
    assert problems({"mapping": {"a": "x"}, "drop": ["a"]}) == ["field 'a' is both in mapping and in drop"]


def test_bad_expression_is_told_with_its_place_and_remedy() -> None:
    with pytest.raises(ValidationError) as caught:
        FieldMapper({"computed": {"x": "row['a'] & 1"}})
    (error,) = caught.value.errors()
    assert error["loc"] == ("computed", "x")
    assert "'&'" in error["msg"]
    assert error["ctx"]["fix"]


def test_rows_of_many_shapes() -> None:
    mapper = FieldMapper({"mapping": {"id": "key"}})
    for number in range(200):
        row = {f"x{number}": 1, "id": number}
        assert mapper.process(row, CTX).row == {f"x{number}": 1, "key": number}


def test_wide_rows() -> None:
    row = {f"f{i}": i for i in range(1000)}
    assert mapped({"mapping": {"f3": "g3"}}, row)["g3"] == 3


@given(st.dictionaries(st.text(max_size=8), st.integers(), max_size=6), st.text(max_size=8))
def test_no_name_can_become_code(row: dict[str, int], name: str) -> None:
    out = mapped({"mapping": dict.fromkeys(list(row)[:1], name), "drop": list(row)[1:]}, row)
    assert out == ({name: next(iter(row.values()))} if row else {})


def test_demands() -> None:
    options = {"mapping": {"a": "b"}, "computed": {"c": "row['x'] + row.get('y', 0)"}}
    assert FieldMapper(options).input_schema.demands == {"a", "x"}
    assert FieldMapper({**options, "strict": False}).input_schema.demands == {"x"}


def test_promises_follow_the_renames() -> None:
    incoming = PluginSchema(
        SchemaMode.FIXED, (FieldSpec("a", FieldType.INT), FieldSpec("b", FieldType.STR, required=False))
    )
    out = FieldMapper({"mapping": {"a": "x"}, "drop": ["b"], "computed": {"c": "1"}}).output_schema(incoming)
    assert [str(spec) for spec in out.fields] == ["x: int", "c: any"]
    assert out.promises == {"x", "c"}
    assert out.mode is SchemaMode.FIXED


def test_select_only_promises_exactly_what_is_selected() -> None:
    mapper = FieldMapper({"mapping": {"a": "x", "b": "y"}, "select_only": True})
    out = mapper.output_schema(PluginSchema(guaranteed=frozenset({"a", "z"})))
    assert out.mode is SchemaMode.FIXED
    assert [spec.name for spec in out.fields] == ["x", "y"]
    assert out.promises == {"x", "y"}
    assert (
        not FieldMapper({"mapping": {"a": "x"}, "select_only": True, "strict": False})
        .output_schema(PluginSchema())
        .promises
    )
