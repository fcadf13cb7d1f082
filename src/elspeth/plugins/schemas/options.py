"""The ``schema:`` option as it is written in a pipeline file."""

import difflib
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from elspeth.contracts.schema import FieldSpec, FieldType, PluginSchema, SchemaMode

_OTHER_NAMES = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "double": "float",
    "boolean": "bool",
    "numeric": "decimal",
    "money": "decimal",
    "timestamp": "datetime",
    "object": "any",
}


def parse_field(text: str) -> FieldSpec:
    """Read ``"name: type"`` or ``"name: type?"``. Raises ValueError that says how it is written."""
    name, colon, kind = (part.strip() for part in text.partition(":"))
    if not name or not colon or not kind:
        raise ValueError(
            f'{text!r} is not a field: write "name: type", for example "id: int" or "note: str?"'
        )
    optional = kind.endswith("?")
    kind = kind.removesuffix("?").strip()
    try:
        return FieldSpec(name, FieldType(kind), required=not optional)
    except ValueError:
        close = _OTHER_NAMES.get(kind.lower()) or next(
            iter(difflib.get_close_matches(kind, list(FieldType))), ""
        )
        hint = f"; did you mean '{close}'?" if close else ""
        raise ValueError(
            f"unknown type {kind!r} of field {name!r}: types are {', '.join(FieldType)}{hint}"
        ) from None


class SchemaOptions(BaseModel):
    """What the rows look like. The word ``observed`` alone stands for ``{mode: observed}``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    mode: Literal["fixed", "flexible", "observed"] = Field(
        default="observed",
        description="fixed: the declared fields and no others; flexible: the declared fields and whatever "
        "else comes; observed: what comes.",
    )
    fields: tuple[str, ...] = Field(
        default=(),
        description='Declared fields, each "name: type" (str, int, float, bool, decimal, date, datetime, '
        'any); a ? after the type means that the field may be missing or empty, as in "note: str?".',
    )
    guaranteed_fields: tuple[str, ...] = Field(
        default=(), description="Fields that every row is sure to have; a row without one is quarantined."
    )
    required_fields: tuple[str, ...] = Field(default=(), description="Fields that every row must have.")

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value != "observed":
            raise ValueError(
                f"schema {value!r} is not complete: only `observed` can stand alone; "
                'write {mode: fixed, fields: ["id: int", ...]}'
            )
        return {"mode": "observed"}

    @field_validator("fields", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        """YAML reads an unquoted ``- id: int`` as a mapping; it means the same."""
        if isinstance(value, dict):
            return [f"{name}: {kind}" for name, kind in value.items()]
        if isinstance(value, (list, tuple)):
            return [
                f"{next(iter(item))}: {next(iter(item.values()))}"
                if isinstance(item, dict) and len(item) == 1
                else item
                for item in value
            ]
        return value

    @field_validator("fields")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [parse_field(text).name for text in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"declared twice: {', '.join(twice)}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "fixed" and not self.fields:
            raise ValueError('mode fixed needs fields, for example fields: ["id: int", "name: str"]')
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        whole = handler.resolve_ref_schema(handler(core_schema))
        description = whole.pop("description", "")
        return {"description": description, "anyOf": [{"const": "observed", "type": "string"}, whole]}

    def to_schema(self) -> PluginSchema:
        """The same, in the words that plugins and graph speak."""
        return PluginSchema(
            mode=SchemaMode(self.mode),
            fields=tuple(map(parse_field, self.fields)),
            guaranteed=frozenset(self.guaranteed_fields),
            required=frozenset(self.required_fields),
        )
