"""Every setting by name: what the reference documentation must cover, and its tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from elspeth.core.config.layout import item_of, model_of, type_words
from elspeth.core.config.pipeline import PipelineSettings

REQUIRED = "required"
_BLOCK = re.compile(r"<!-- settings: (?P<sections>[a-z_ ]+) -->\n.*?<!-- /settings -->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One setting. ``key`` is dotted, with ``<name>`` for a name of the user's and ``[]`` for an item.

    ``default`` is as it would be written in YAML, ``required`` where there is none.
    """

    key: str
    type: str
    default: str
    description: str


def iter_settings(model: type[BaseModel] = PipelineSettings, prefix: str = "") -> Iterator[SettingDoc]:
    """All settings below ``model``, depth first, in the order of a pipeline file."""
    for name, info in model.model_fields.items():
        key = f"{prefix}{name}"
        yield SettingDoc(key, type_words(info.annotation), _default(info), info.description or "")
        for below, suffix in (
            (model_of(info.annotation), "."),
            (model_of(item_of(info.annotation, 0)), "[]."),
            (model_of(item_of(info.annotation, "")), ".<name>."),
        ):
            if below is not None:
                yield from iter_settings(below, key + suffix)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return REQUIRED
    value: Any = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return ""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else "''"


def settings_table(section: str) -> str:
    """The settings of one section of a pipeline file, itself included, as a Markdown table.

    Raises KeyError where there is no such section.
    """
    inside = (f"{section}.", f"{section}[].")
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    found = [doc for doc in iter_settings() if doc.key == section or doc.key.startswith(inside)]
    if not found:
        raise KeyError(section)
    for doc in found:
        cells = (f"`{doc.key}`", _cell(doc.type), _shown(doc.default), _cell(doc.description))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """A page with the table between each ``<!-- settings: a b -->`` and ``<!-- /settings -->`` made anew.

    Several sections may share one table.
    """

    def block(match: re.Match[str]) -> str:
        first, *others = (settings_table(section) for section in match["sections"].split())
        rows = [line for table in others for line in table.splitlines()[2:]]
        return "\n".join([f"<!-- settings: {match['sections']} -->", first, *rows, "<!-- /settings -->"])

    return _BLOCK.sub(block, page)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _shown(default: str) -> str:
    if default == REQUIRED:
        return "**required**"
    return "–" if default in {"", "none", "{}", "[]", "''"} else f"`{default}`"
