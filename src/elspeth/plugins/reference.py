"""The reference of the core's plugins, as Markdown made from the plugins themselves."""

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from elspeth.plugins.registry import KINDS, PluginCatalog, load_catalog

DISTRIBUTION = "elspeth"
_SCALARS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true/false"}


def render(catalog: PluginCatalog | None = None) -> str:
    """Every plugin of the core with every option: headings from the second level on.

    Loads all plugins, so that optional dependencies must be there.
    """
    catalog = catalog or load_catalog()
    parts: list[str] = []
    for kind in KINDS:
        parts.append(f"## {kind.capitalize()}s")
        for name in catalog.names(kind):
            found = catalog.describe(kind, name)
            if found.distribution == DISTRIBUTION:
                parts.append(f"### {kind.capitalize()} `{name}`")
                parts.append(_prose(catalog.load(kind, name)))
                parts.append(f"Determinism: `{found.determinism}`. Version {found.version}.")
                parts.append(_table(catalog.load(kind, name).options_model, found.options))
    return "\n\n".join(parts) + "\n"


def _prose(cls: type[Any]) -> str:
    return (inspect.getdoc(cls) or "").replace("``", "`")


def _table(model: type[BaseModel], schema: Mapping[str, Any]) -> str:
    """One line per option, those that every plugin of the kind takes last."""
    defaults = {
        field.alias or name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    lines = ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    options = schema.get("properties", {})
    for name in sorted(
        options, key=lambda option: (option == "schema", option not in schema.get("required", []))
    ):
        default = _default(defaults[name]) if name in defaults else "required"
        lines.append(_line(name, options[name], default, schema))
        for inner, part, required in _inside(options[name], schema):
            default = "required" if required else _default(part.get("default"))
            lines.append(_line(f"{name}[].{inner}", part, default, schema))
    return "\n".join(lines)


def _line(name: str, option: Mapping[str, Any], default: str, schema: Mapping[str, Any]) -> str:
    meaning = str(option.get("description", "")).replace("|", "\\|")
    return f"| `{name}` | {_type(option, schema)} | {default} | {meaning} |"


def _default(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if value == {} or value == ():
        return "–"
    text = json.dumps(to_jsonable_python(value), ensure_ascii=True)
    return "–" if text in ("[]", "{}", '""') else f"`{text}`"


def _inside(option: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """The options of the objects that a list option holds: name, schema, whether it is required."""
    for branch in (option, *option.get("oneOf", ())):
        item = _resolved(branch.get("items", {}), schema)
        for name, part in item.get("properties", {}).items():
            yield name, part, name in item.get("required", ())


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    found: Mapping[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return found


def _type(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a JSON Schema node accepts, in words."""
    if "$ref" in node:
        return "schema" if node["$ref"].endswith("/SchemaOptions") else _type(_resolved(node, schema), schema)
    for key in ("anyOf", "oneOf"):
        if key in node:
            return " or ".join(dict.fromkeys(_type(branch, schema) for branch in node[key]))
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    kind = node.get("type")
    if kind == "array":
        return f"list of {_type(node.get('items', {}), schema)}"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"map of name → {_type(node['additionalProperties'], schema)}"
    if kind == "object":
        return f"`{{{', '.join(node.get('properties', {}))}}}`"
    if kind == "string" and node.get("format") in ("path", "file-path"):
        return "path"
    return _SCALARS.get(str(kind), str(kind or "any value"))
