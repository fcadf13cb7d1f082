"""pydantic's errors as problems: the reader's words, a position, a remedy, never a value that is secret."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from elspeth.contracts.errors import Problem
from elspeth.core.config.document import Document, KeyPath, did_you_mean
from elspeth.core.config.layout import field_at, keys_at
from elspeth.core.config.models_base import BROKEN_RULE, shown

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "finite_number": "a finite number",
}
_REMEDIES = {
    "a whole number": "write digits without quotes",
    "a number": "write digits without quotes",
    "true or false": "write true or false without quotes",
    "text": "put it in quotes",
    "a list": "write [first, second], or a line `- item` for each",
}
_LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def problems_of(
    document: Document, errors: Iterable[ErrorDetails], model: type[BaseModel], at: KeyPath = ()
) -> list[Problem]:
    """One problem per error of validating the data at ``at`` with ``model``, doubtful values left out."""
    found: list[Problem] = []
    for error in errors:
        translator = _Translator(document, error, model, at)
        if translator.path not in document.doubtful:
            found.append(translator.problem())
    return found


class _Translator:
    def __init__(self, document: Document, error: ErrorDetails, model: type[BaseModel], at: KeyPath) -> None:
        self.document = document
        self.kind = error["type"]
        self.context: Mapping[str, Any] = error.get("ctx") or {}
        self.error = error
        self.model = model
        loc = tuple(error["loc"])
        self.is_key = loc[-1:] == ("[key]",)
        self.inner: KeyPath = loc[:-1] if self.is_key else loc
        if self.kind == BROKEN_RULE:
            self.inner = (*self.inner, *self.context["at"])
        self.path: KeyPath = (*at, *self.inner)

    def problem(self) -> Problem:
        if self.kind == "missing":
            return self._missing()
        if self.kind == "extra_forbidden":
            return self._unknown()
        what, fix = self._value_problem()
        return self.document.problem(self.path, self._without_secrets(what), fix, at_key=self.is_key)

    def _missing(self) -> Problem:
        name = str(self.inner[-1])
        where = self.document.dotted(self.path[:-1])
        field = field_at(self.inner, self.model)
        meaning = (field.description or "") if field is not None else ""
        if self.path == ("sources",):
            return self.document.problem(
                (), "the pipeline has no source", "add `source: {plugin: csv, options: {path: data.csv}}`"
            )
        if self.path == ("sinks",):
            return self.document.problem(
                (),
                "the pipeline has no sinks",
                "add `sinks: {output: {plugin: csv, options: {path: out.csv}}}`",
            )
        what = f"{where} has no {name!r}" if where else f"{name!r} is missing"
        fix = f"add `{name}: …`" + (f" ({_sentence(meaning)})" if meaning else "")
        return self.document.problem(self.path, what, fix)

    def _unknown(self) -> Problem:
        name, where = str(self.inner[-1]), self.path[:-1]
        if self.path in {("source",), ("experiment",)}:
            what = f"both {name!r} and '{name}s' are there"
            return self.document.problem(self.path, what, f"move it into '{name}s'", at_key=True)
        known = list(keys_at(self.inner[:-1], self.model)) or [
            str(field.alias or key) for key, field in self.model.model_fields.items()
        ]
        guess = did_you_mean(name, known)
        what = f"unknown key {name!r}" + (f" in {self.document.dotted(where)}" if where else "")
        fix = f"did you mean {guess!r}?" if guess else f"known here: {', '.join(known)}"
        return self.document.problem(self.path, what, fix, at_key=True)

    def _value_problem(self) -> tuple[str, str]:
        key = self.document.dotted(self.path) or "the file"
        value = self.error.get("input")
        if self.kind == BROKEN_RULE:
            return str(self.context["what"]), str(self.context["fix"])
        if self.kind in _TYPES:
            wanted = _TYPES[self.kind]
            if self.kind == "int_from_float":
                return f"{key} must be a whole number, and this has decimals", "round it"
            return f"{key} must be {wanted}, and this is {shown(value)}", _REMEDIES.get(wanted, "")
        if self.kind in _LIMITS:
            name, words = _LIMITS[self.kind]
            return f"{key} must be {words} {self.context[name]:g}, and this is {value}", ""
        if self.kind in {"literal_error", "enum"}:
            return self._choice(key, value)
        if self.kind in {"string_too_short", "too_short"}:
            return f"{key} must not be empty", ""
        if self.kind in {"value_error", "assertion_error"}:
            return f"{key}: {self.error['msg'].split(', ', 1)[-1]}", ""
        return f"{key}: {self.error['msg']}", ""

    def _choice(self, key: str, value: Any) -> tuple[str, str]:
        allowed = str(self.context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        if not isinstance(value, str):
            return f"{key} must be one of {', '.join(allowed)}, and this is {shown(value)}", ""
        guess = did_you_mean(value, allowed)
        what = f"{key} must be one of {', '.join(allowed)}, and this is {value!r}"
        return what, f"did you mean {guess!r}?" if guess else ""

    def _without_secrets(self, text: str) -> str:
        """What came from the environment is named by its variable, not by its value."""
        value: Any = self.document.data
        for step in self.path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return text
        names = self.document.from_environment.get(self.path)
        if names is None or value is None or value == "":
            return text
        label = "the value of " + " and ".join(f"${{{name}}}" for name in names)
        for form in (repr(value), str(value)):
            text = text.replace(form, label)
        return text


def _sentence(meaning: str) -> str:
    return meaning.rstrip(".").replace("; ", ", ")
