"""The plugins: all of them in a list, one of them with its options."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from elspeth.api.plugins import PluginDescription, PluginSummary
from elspeth.cli.tables import table
from elspeth.cli.text import printable

_DEEPEST = 3
_TYPE_WORDS: Mapping[str, str] = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "map",
}


def plugin_list(plugins: Iterable[PluginSummary]) -> Table:
    """One line per plugin."""
    grid = table("kind", "name", "what it does")
    for plugin in plugins:
        grid.add_row(plugin.kind, Text(printable(plugin.name), style="bold"), printable(plugin.summary))
    return grid


def plugin_details(plugin: PluginDescription) -> RenderableType:
    """One plugin with every option."""
    head = Text.assemble(
        (f"{plugin.kind} ", "dim"), (printable(plugin.name), "bold"), f"  {printable(plugin.version)}"
    )
    facts = Text(
        f"{plugin.determinism}; from {printable(plugin.distribution)} ({plugin.module})", style="dim"
    )
    parts: list[RenderableType] = [head, Text(printable(plugin.summary)), facts, Text()]
    grid = table("option", "type", "default", "meaning")
    for row in _options(plugin.options, plugin.options, "", 0):
        grid.add_row(*row)
    return Group(*parts, grid if grid.row_count else Text("no options"))


def _options(
    schema: Mapping[str, Any], whole: Mapping[str, Any], prefix: str, depth: int
) -> Iterator[tuple[RenderableType, ...]]:
    required = schema.get("required", ())
    for name, option in schema.get("properties", {}).items():
        default = "required" if name in required else _default(option)
        meaning = option.get("description", "")
        yield (
            Text(printable(prefix + name), style="bold"),
            type_words(option, whole),
            Text(default, style="yellow" if default == "required" else ""),
            printable(" ".join(meaning.split())),
        )
        below = _resolved(option, whole)
        if depth < _DEEPEST:
            yield from _options(below, whole, f"{prefix}{name}.", depth + 1)


def _default(option: Mapping[str, Any]) -> str:
    if "default" not in option:
        return ""
    default = option["default"]
    return "none" if default is None else printable(json.dumps(default, ensure_ascii=False))


def _resolved(option: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind a reference, or behind "this or null"."""
    if "$ref" in option:
        found: Mapping[str, Any] = whole.get("$defs", {}).get(option["$ref"].rsplit("/", 1)[-1], {})
        return found
    choices = [item for item in option.get("anyOf", ()) if item.get("type") != "null"]
    return _resolved(choices[0], whole) if len(choices) == 1 else option


def type_words(option: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """A JSON Schema's type in a few words."""
    if "enum" in option:
        return " or ".join(str(item) for item in option["enum"])
    if "const" in option:
        return str(option["const"])
    if "$ref" in option:
        return type_words(_resolved(option, whole), whole)
    if "anyOf" in option:
        choices = [type_words(item, whole) for item in option["anyOf"] if item.get("type") != "null"]
        return " or ".join(dict.fromkeys(choices))
    kind = option.get("type", "any")
    if kind == "array":
        return f"list of {type_words(option.get('items', {}), whole)}"
    if kind == "object" and isinstance(option.get("additionalProperties"), Mapping):
        return f"map of {type_words(option['additionalProperties'], whole)}"
    return _TYPE_WORDS.get(kind, str(kind))
