"""Answers with a form: what is asked of the model, and whether it kept to it."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from elspeth.contracts.errors import UsageError
from elspeth.contracts.schema import FieldSpec, FieldType

_JSON_TYPES: Mapping[str, Mapping[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "object": {"type": "object"},
    "any": {},
}
_FIELD_TYPES = {"str": FieldType.STR, "int": FieldType.INT, "float": FieldType.FLOAT, "bool": FieldType.BOOL}
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_LONGEST_COMPLAINT = 300


class InvalidOutputError(Exception):
    """The answer does not have the form that was asked for; the text says where and why."""


class OutputForm:
    """A JSON Schema that answers have to fit. ``fields`` are the row's fields that come of it, by name.

    Raises UsageError for a schema that is none.
    """

    def __init__(self, schema: Mapping[str, Any], fields: Mapping[str, FieldSpec]) -> None:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise UsageError(
                f"the output schema is no JSON Schema: {error.message}", fix="see json-schema.org"
            ) from error
        self.schema = schema
        self.fields = fields
        self._validator = Draft202012Validator(schema)

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> "OutputForm":
        """An object with these fields: name → type (``str``, ``int?``), allowed texts, or JSON Schema."""
        properties: dict[str, Any] = {}
        specs: dict[str, FieldSpec] = {}
        required = []
        for name, wanted in fields.items():
            properties[name], specs[name] = _property(name, wanted)
            if specs[name].required:
                required.append(name)
        schema = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        return cls(schema, specs)

    def read(self, text: str) -> Any:
        """The value in an answer. Raises InvalidOutputError."""
        fenced = _FENCE.match(text)
        try:
            value = orjson.loads(fenced.group(1) if fenced else text)
        except orjson.JSONDecodeError as error:
            raise InvalidOutputError(f"it is not JSON: {error}") from error
        worst = best_match(self._validator.iter_errors(value))
        if worst is not None:
            where = "".join(f"[{part!r}]" for part in worst.absolute_path) or "the whole"
            raise InvalidOutputError(f"{where}: {worst.message[:_LONGEST_COMPLAINT]}")
        return value

    def request(self, way: str) -> dict[str, Any]:
        """What goes into the request's body: by the provider's own means, where it has some."""
        if way == "json_schema":
            named = {"name": "answer", "strict": _is_strict(self.schema), "schema": self.schema}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        return {"response_format": {"type": "json_object"}} if way == "json_object" else {}

    def instruction(self) -> str:
        """The same in words, for providers that have no means of their own."""
        schema = orjson.dumps(self.schema, option=orjson.OPT_SORT_KEYS).decode()
        return f"Answer with one JSON value and nothing else. It must fit this JSON Schema: {schema}"


def _property(name: str, wanted: Any) -> tuple[Mapping[str, Any], FieldSpec]:
    if isinstance(wanted, str):
        optional = wanted.endswith("?")
        base = wanted.removesuffix("?").strip()
        found = _JSON_TYPES.get(base)
        if found is None:
            raise UsageError(
                f"output field {name!r} has the unknown type {wanted!r}",
                fix=f"write one of {', '.join(_JSON_TYPES)}, a list of allowed texts, or a JSON Schema",
            )
        schema = {"anyOf": [found, {"type": "null"}]} if optional else found
        return schema, FieldSpec(name, _FIELD_TYPES.get(base, FieldType.ANY), required=not optional)
    if isinstance(wanted, list):
        return {"type": "string", "enum": wanted}, FieldSpec(name, FieldType.STR)
    if isinstance(wanted, Mapping):
        return wanted, FieldSpec(name, FieldType.ANY)
    raise UsageError(f"output field {name!r} has no type", fix=f"write {name}: str")


def _is_strict(schema: Mapping[str, Any]) -> bool:
    """OpenAI's strict mode wants every property required and no others."""
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False
    return closed and set(schema.get("required", ())) == set(properties)
