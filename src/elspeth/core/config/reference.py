"""Every setting by name: what the reference documentation must cover."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from elspeth.core.config.layout import item_of, model_of, type_words
from elspeth.core.config.pipeline import PipelineSettings

REQUIRED = "required"


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
