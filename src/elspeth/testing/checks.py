"""What all contracts check, and with what."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from elspeth.contracts.enums import Determinism
from elspeth.contracts.errors import CanonicalError
from elspeth.contracts.plugins import PluginContext
from elspeth.core.canonical import canonical

UNKNOWN_OPTION = "surely_no_plugin_has_this_option"


def check(condition: object, message: str) -> None:
    """Fail the test with ``message`` (also under ``python -O``, where assert says nothing)."""
    if not condition:
        raise AssertionError(message)


def context() -> PluginContext:
    """The context that the contracts work with."""
    return PluginContext(run_id="run-contract", node_id="contract")


def snapshot(value: Any) -> Any:
    """A deep copy, to compare with later."""
    return copy.deepcopy(value)


def same(left: Any, right: Any) -> bool:
    """Equal in value, in type and in the order of fields, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def check_identity(plugin: Any) -> None:
    """Name, version, determinism and options model are there and of the right types."""
    cls = type(plugin)
    for attribute in ("name", "plugin_version"):
        value = getattr(cls, attribute, None)
        check(isinstance(value, str) and value, f"{cls.__name__}.{attribute} must be a text, is {value!r}")
    determinism = getattr(cls, "determinism", None)
    check(
        isinstance(determinism, Determinism),
        f"{cls.__name__}.determinism must be a member of Determinism, is {determinism!r}",
    )
    model = getattr(cls, "options_model", None)
    check(
        isinstance(model, type) and issubclass(model, BaseModel),
        f"{cls.__name__}.options_model must be a pydantic model, is {model!r}",
    )


def check_options(plugin: Any) -> None:
    """The options have a JSON Schema with a description each, and unknown ones are refused."""
    cls = type(plugin)
    schema = cls.options_model.model_json_schema()
    json.dumps(schema)
    bare = [name for name, facts in schema.get("properties", {}).items() if not facts.get("description")]
    check(not bare, f"options of {cls.__name__} have no description: {', '.join(bare)}")
    try:
        cls({UNKNOWN_OPTION: True})
    except ValidationError as error:
        refused = any(UNKNOWN_OPTION in found["loc"] for found in error.errors())
    else:
        refused = False
    check(refused, f'{cls.__name__} takes unknown options; its options model needs extra="forbid"')


def check_row(row: Any, what: str) -> None:
    """A row is a dict of text to values that can be recorded."""
    check(type(row) is dict, f"{what} must be a dict, is {type(row).__name__}")
    odd = [name for name in row if not isinstance(name, str)]
    check(not odd, f"{what} has field names that are no text: {odd!r}")
    try:
        canonical(row)
    except CanonicalError as error:
        raise AssertionError(f"{what} holds what cannot be recorded: {error}") from error


def check_json(value: Any, what: str) -> None:
    """A mapping that survives JSON unchanged."""
    check(isinstance(value, Mapping), f"{what} must be a mapping, is {type(value).__name__}")
    try:
        back = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} is not JSON: {error}") from error
    check(back == dict(value), f"{what} does not survive JSON: {value!r} comes back as {back!r}")


def files(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, by its relative path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def check_close_twice(plugin: Any, started: Any) -> None:
    """close() may be called on a plugin that was never started, and again on one that was."""
    plugin.close()
    started.on_start(context())
    started.close()
    started.close()
