"""A JSON Schema (draft 7) of pipeline files, for editors: completion, hovers and red lines."""

import copy
from collections.abc import Mapping
from typing import Any

from elspeth.core.config.layout import SHORT_FORMS
from elspeth.core.config.pipeline import PipelineSettings

JsonSchema = dict[str, Any]
PluginSchemas = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Kind (``source``, ``transform``, ``sink``, ``aggregation``) → plugin name → JSON Schema of its options."""

DRAFT = "http://json-schema.org/draft-07/schema#"
HOMES = {
    "source": "SourceSettings",
    "transform": "TransformSettings",
    "aggregation": "AggregationSettings",
    "sink": "SinkSettings",
}
_DATA = frozenset({"default", "const", "enum", "examples", "required"})
_NAMED = frozenset({"properties", "patternProperties", "definitions"})
_LIMITS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
"""pydantic leaves the limits of a union under its own names."""
_TITLES = ("title", "description", "default")
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def pipeline_json_schema(plugins: PluginSchemas) -> JsonSchema:
    """The schema of a whole file, with the options of each plugin where that plugin is named.

    Wherever a number or true/false may stand, a text with ``${VARIABLE}`` may too. Rules over
    several keys and names that are decided elsewhere in the file are `validate`'s business.
    """
    schema = PipelineSettings.model_json_schema(ref_template="#/definitions/{model}")
    definitions: dict[str, JsonSchema] = schema.pop("$defs")
    for kind, name in HOMES.items():
        _offer_plugins(definitions, kind, name, plugins.get(kind, {}))
    properties = schema["properties"]
    for short, long in SHORT_FORMS.items():
        items = properties[long].get("additionalProperties") or properties[long]["items"]
        properties[short] = {
            "allOf": [copy.deepcopy(items)],
            "description": f"Short for `{long}` where there is only one.",
            "title": short.title(),
        }
    required = [key for key in schema.pop("required") if key != "sources"]
    rules = {
        "required": required,
        "allOf": [
            {"oneOf": [{"required": ["source"]}, {"required": ["sources"]}]},
            {"not": {"required": ["experiment", "experiments"]}},
        ],
    }
    whole = {**schema, **rules, "title": "ELSPETH pipeline", "definitions": definitions}
    return {"$schema": DRAFT, **_draft7(whole)}


def _offer_plugins(
    definitions: dict[str, JsonSchema], kind: str, name: str, plugins: Mapping[str, Mapping[str, Any]]
) -> None:
    """If ``plugin`` is X, ``options`` are those of X; the options' own definitions move to the top."""
    home = definitions[name]
    if kind == "source":
        _allow_validation_failure(home)
    if not plugins:
        return
    home["properties"]["plugin"]["enum"] = sorted(plugins)
    branches = home.setdefault("allOf", [])
    for plugin in sorted(plugins):
        options = copy.deepcopy(dict(plugins[plugin]))
        space = f"{kind}_{plugin}"
        inner = {**options.pop("$defs", {}), **options.pop("definitions", {})}
        for local, definition in inner.items():
            definitions[f"{space}.{local}"] = _renamed(definition, space)
        options = _renamed(options, space)
        if kind == "source":
            _add_validation_failure(options, home)
        then: JsonSchema = {"properties": {"options": options}}
        if options.get("required"):
            then["required"] = ["options"]
        chosen = {"properties": {"plugin": {"const": plugin}}, "required": ["plugin"]}
        branches.append({"if": chosen, "then": then})


def _allow_validation_failure(home: JsonSchema) -> None:
    home["properties"]["options"].setdefault("properties", {})
    _add_validation_failure(home["properties"]["options"], home)


def _add_validation_failure(options: JsonSchema, home: JsonSchema) -> None:
    """A source's ``on_validation_failure`` may also stand inside its options."""
    key = "on_validation_failure"
    options.setdefault("properties", {}).setdefault(key, copy.deepcopy(home["properties"][key]))


def _renamed(schema: Any, space: str) -> Any:
    """References to a plugin's own definitions, pointed at where these are now."""
    if isinstance(schema, list):
        return [_renamed(item, space) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _renamed(value, space) for key, value in schema.items()}
    reference = result.get("$ref")
    if isinstance(reference, str):
        result["$ref"] = f"#/definitions/{space}.{reference.rsplit('/', 1)[-1]}"
    return result


def _draft7(schema: Any) -> Any:
    """What 2020-12 and draft 7 say differently; and a variable may stand for any number or boolean."""
    if isinstance(schema, list):
        return [_draft7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: JsonSchema = {}
    for key, value in schema.items():
        if key in _DATA:
            result[key] = value
        elif key in _NAMED and isinstance(value, dict):
            result[key] = {name: _draft7(item) for name, item in value.items()}
        else:
            result[_LIMITS.get(str(key), str(key))] = _draft7(value)
    if "prefixItems" in result:
        result["items"] = result.pop("prefixItems")
    if "$ref" in result and len(result) > 1:
        result["allOf"] = [{"$ref": result.pop("$ref")}, *result.get("allOf", [])]
    if result.get("type") in {"integer", "number", "boolean"} or "enum" in result:
        return _or_variable(result)
    return result


def _or_variable(schema: JsonSchema) -> JsonSchema:
    outer: JsonSchema = {key: schema.pop(key) for key in _TITLES if key in schema}
    return {**outer, "anyOf": [schema, dict(_VARIABLE)]}
