"""The schema option as it is written."""

import pytest
from pydantic import BaseModel, Field, ValidationError

from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode
from elspeth.plugins.schemas import SchemaOptions, parse_field


class Options(BaseModel):
    schema_: SchemaOptions = Field(default_factory=SchemaOptions, alias="schema")


def test_the_word_observed_is_enough():
    assert Options.model_validate({"schema": "observed"}).schema_.to_schema() == PluginSchema()
    assert Options.model_validate({}).schema_ == SchemaOptions()


def test_the_whole_mapping():
    schema = SchemaOptions.model_validate(
        {
            "mode": "fixed",
            "fields": ["id: int", "note:str?"],
            "guaranteed_fields": ["a"],
            "required_fields": ["b"],
        }
    ).to_schema()
    assert schema == PluginSchema(
        SchemaMode.FIXED,
        (FieldSpec("id", FieldType.INT), FieldSpec("note", FieldType.STR, required=False)),
        frozenset({"a"}),
        frozenset({"b"}),
    )


def test_unquoted_fields_mean_the_same():
    assert SchemaOptions.model_validate({"fields": [{"id": "int"}, {"note": "str?"}]}).fields == (
        "id: int",
        "note: str?",
    )
    assert SchemaOptions.model_validate({"fields": {"id": "int"}}).fields == ("id: int",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fixed", "schema 'fixed' is not complete: only `observed` can stand alone"),
        ({"mode": "fixed"}, "mode fixed needs fields"),
        ({"fields": ["id"]}, "'id' is not a field: write \"name: type\""),
        ({"fields": ["id: integer"]}, "unknown type 'integer' of field 'id'.*did you mean 'int'"),
        ({"fields": ["id: flot"]}, "did you mean 'float'"),
        ({"fields": ["id: int", "id: str"]}, "declared twice: id"),
        ({"fieds": []}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_explained(value, message):
    with pytest.raises(ValidationError, match=message):
        Options.model_validate({"schema": value})


def test_a_field_reads_back():
    for text in ("id: int", "note: str?", "at: datetime"):
        assert str(parse_field(text)) == text


def test_editors_are_told_both_forms():
    schema = Options.model_json_schema()
    forms = str(schema)
    assert "'const': 'observed'" in forms
    assert "guaranteed_fields" in forms
