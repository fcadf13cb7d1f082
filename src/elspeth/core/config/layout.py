"""Which settings may stand where: the models seen as a tree of keys."""

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from elspeth.core.config.pipeline import PipelineSettings

SHORT_FORMS = {"source": "sources", "experiment": "experiments"}
"""Keys of a file that stand for a map or list of one."""


def choices(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation stands for, without None and without metadata."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return choices(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return tuple(found for part in get_args(annotation) for found in choices(part))
    return () if annotation is type(None) else (annotation,)


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, if it holds one."""
    for choice in choices(annotation):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return choice
    return None


def item_of(annotation: Any, step: str | int) -> Any:
    """The annotation of one item of a list (``step`` an index) or mapping; None if it has no items."""
    wanted = list if isinstance(step, int) else dict
    for choice in choices(annotation):
        if get_origin(choice) is wanted:
            return get_args(choice)[-1]
    return None


def field_at(path: Sequence[str | int], model: type[BaseModel] = PipelineSettings) -> FieldInfo | None:
    """The field that a key path in terms of the models leads to; None where there is none."""
    annotation: Any = model
    info: FieldInfo | None = None
    for step in path:
        below = model_of(annotation)
        if below is not None and isinstance(step, str):
            info = below.model_fields.get(step)
            annotation = info.annotation if info is not None else None
        else:
            info = None
            annotation = item_of(annotation, step)
        if annotation is None:
            return None
    return info


def annotation_at(path: Sequence[str | int], model: type[BaseModel] = PipelineSettings) -> Any:
    """The type of what a key path leads to, also inside lists and maps; None where nothing may stand."""
    annotation: Any = model
    for step in path:
        below = model_of(annotation)
        if below is not None:
            info = below.model_fields.get(step) if isinstance(step, str) else None
            annotation = info.annotation if info is not None else None
        else:
            annotation = item_of(annotation, step)
        if annotation is None:
            return None
    return annotation


def keys_at(path: Sequence[str | int], model: type[BaseModel] = PipelineSettings) -> tuple[str, ...]:
    """The keys that may stand in the mapping at a key path, in the order of the models."""
    below = model_of(annotation_at(path, model))
    if below is None:
        return ()
    names = tuple(field.alias or name for name, field in below.model_fields.items())
    return (*SHORT_FORMS, *names) if below is PipelineSettings else names


def takes_text_only(annotation: Any) -> bool:
    """Whether a value must be text, so that ``5`` means "5"."""
    found = choices(annotation)
    return bool(found) and all(choice is str for choice in found)


def type_words(annotation: Any) -> str:
    """The type of a setting as the reference prints it: ``text``, ``whole number``, ``a | b``."""
    return " or ".join(dict.fromkeys(_words(annotation)))


_PLAIN: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
}


def _words(annotation: Any) -> Iterator[str]:
    for choice in choices(annotation):
        origin = get_origin(choice)
        if choice in _PLAIN:
            yield _PLAIN[choice]
        elif origin is Literal:
            yield " | ".join(str(value) for value in get_args(choice))
        elif origin is list:
            yield f"list of {type_words(item_of(choice, 0))}"
        elif origin is dict:
            yield f"mapping of name to {type_words(item_of(choice, ''))}"
        elif isinstance(choice, type) and issubclass(choice, BaseModel):
            yield "mapping"
        else:
            yield " | ".join(member.value for member in choice)
