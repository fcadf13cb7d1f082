"""Blob names made from rows."""

import re
from collections.abc import Callable
from typing import Any

from elspeth.contracts.plugins import Row

MOST_CHARS = 1024
_MOST_SEGMENTS = 254
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_PLAIN = ("run_id", "row_id", "token_id", "timestamp")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


class BlobName:
    """A template of blob names: ``output/{run_id}/{row_id}.json``. Raises ValueError if it is none."""

    def __init__(self, template: str, allowed: tuple[str, ...] = _PLAIN, *, fields: bool = True) -> None:
        self.template = template
        self.variables = tuple(_VARIABLE.findall(template))
        for variable in self.variables:
            if variable in allowed or (fields and variable.startswith("field:") and variable[6:]):
                continue
            known = ", ".join(f"{{{name}}}" for name in allowed) + (", {field:name}" if fields else "")
            raise ValueError(f"there is no variable {{{variable}}} here; there are {known}")
        if "{" in _VARIABLE.sub("", template) or "}" in _VARIABLE.sub("", template):
            raise ValueError("a brace stands alone")
        self.prefix = template.partition("{")[0]
        if fault := name_fault(_VARIABLE.sub("x", template)):
            raise ValueError(fault)

    def render(self, row: Row, known: dict[str, str]) -> str:
        """The name for a row. Raises ValueError, with the reason, if the row has no good name."""
        name = _VARIABLE.sub(self._value(row, known), self.template)
        if fault := name_fault(name):
            raise ValueError(f"the blob name {name[:200]!r} {fault}")
        if not name.startswith(self.prefix):
            raise ValueError(f"the blob name {name[:200]!r} leaves {self.prefix!r}")
        return name

    @staticmethod
    def _value(row: Row, known: dict[str, str]) -> Callable[[re.Match[str]], str]:
        def value(match: re.Match[str]) -> str:
            variable = match.group(1)
            if not variable.startswith("field:"):
                return known[variable]
            field = variable[6:]
            if field not in row:
                raise ValueError(f"the row has no field {field!r}, which its blob name needs")
            return _text(field, row[field])

        return value


def _text(field: str, value: Any) -> str:
    text = "" if value is None else str(value)
    if not text.strip():
        raise ValueError(f"field {field!r} is empty, and the blob name needs it")
    return text


def name_fault(name: str) -> str:
    """What is wrong with a blob name, as the end of a sentence; empty if nothing."""
    if not name:
        return "is empty"
    if len(name) > MOST_CHARS:
        return f"has {len(name)} characters, and {MOST_CHARS} are allowed"
    segments = name.split("/")
    if len(segments) > _MOST_SEGMENTS:
        return f"has {len(segments)} segments, and {_MOST_SEGMENTS} are allowed"
    if ".." in segments or "." in segments:
        return "would escape its prefix: it has a segment '.' or '..'"
    if "" in segments:
        return "begins or ends with a slash, or has two in a row"
    if name.endswith("."):
        return "ends with a dot"
    if _CONTROL.search(name):
        return "has control characters or backslashes"
    return ""
