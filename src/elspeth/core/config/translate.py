"""pydantic's errors as problems: the reader's words, a position, a remedy, never a value that is secret."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from elspeth.contracts.errors import Problem
from elspeth.core.config.document import Document, KeyPath, below, did_you_mean
from elspeth.core.config.layout import SHORT_FORMS, field_at, keys_at
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
    translators = [_Translator(document, one, model, at) for error in errors for one in _each(error)]
    misspelt = {translator.meant() for translator in translators if translator.kind == "extra_forbidden"}
    return [
        translator.problem()
        for translator in translators
        if not document.is_doubtful(translator.path)
        and not (translator.kind == "missing" and translator.path in misspelt)
    ]


def _each(error: ErrorDetails) -> Iterator[ErrorDetails]:
    """An error, and those that a validator raised with it."""
    yield error
    for context in (error.get("ctx") or {}).get("also", ()):
        yield {**error, "ctx": context}


class Complaint:
    """One of pydantic's errors: its ``kind``, and the key path of the setting that it is about."""

    def __init__(self, error: ErrorDetails, at: KeyPath = ()) -> None:
        self.kind = error["type"]
        self.context: Mapping[str, Any] = error.get("ctx") or {}
        self.error = error
        loc = tuple(error["loc"])
        self.is_key = loc[-1:] == ("[key]",)
        self.inner: KeyPath = loc[:-1] if self.is_key else loc
        if self.kind == BROKEN_RULE:
            self.inner = (*self.inner, *self.context["at"])
        self.path: KeyPath = (*at, *self.inner)

    def guess(self, model: type[BaseModel]) -> str:
        """The key that an unknown key was probably meant to be, or an empty string."""
        return did_you_mean(str(self.inner[-1]), keys_at(self.inner[:-1], model))


class _Translator(Complaint):
    def __init__(self, document: Document, error: ErrorDetails, model: type[BaseModel], at: KeyPath) -> None:
        super().__init__(error, at)
        self.document = document
        self.model = model

    def problem(self) -> Problem:
        if self.kind == "missing":
            return self._missing()
        if self.kind == "extra_forbidden":
            return self._unknown()
        what, fix = self._value_problem()
        return self.document.problem(self.path, what, fix, at_key=self.is_key)

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
        fix = f"add `{name}`" + (f": {meaning}" if meaning else "")
        return self.document.problem(self.path, what, fix)

    def _unknown(self) -> Problem:
        name, where = str(self.inner[-1]), self.path[:-1]
        if self.path in {("source",), ("experiment",)}:
            what = f"both {name!r} and '{name}s' are there"
            return self.document.problem(self.path, what, f"move it into '{name}s'", at_key=True)
        known = keys_at(self.inner[:-1], self.model)
        guess = did_you_mean(name, known)
        what = f"unknown key {name!r}" + (f" in {self.document.dotted(where)}" if where else "")
        fix = f"did you mean {guess!r}?" if guess else f"known here: {', '.join(known)}"
        return self.document.problem(self.path, what, fix, at_key=True)

    def meant(self) -> KeyPath:
        """The setting that an unknown key was probably meant to be."""
        guess = self.guess(self.model)
        return (*self.path[:-1], SHORT_FORMS.get(guess, guess))

    def _value_problem(self) -> tuple[str, str]:
        key = self.document.dotted(self.path) or "the file"
        value = self.error.get("input")
        if self.kind == BROKEN_RULE:
            what, fix = str(self.context["what"]), str(self.context["fix"])
            return self._without_secrets(what), self._without_secrets(fix)
        if self.kind in _TYPES:
            wanted = _TYPES[self.kind]
            if self.kind == "int_from_float":
                return f"{key} must be a whole number, and this has decimals", "round it"
            return f"{key} must be {wanted}, and this is {shown(value)}", self._remedy(wanted, value)
        if self.kind in _LIMITS:
            name, words = _LIMITS[self.kind]
            return f"{key} must be {words} {self.context[name]:g}, and this is {self._quoted(value)}", ""
        if self.kind in {"literal_error", "enum"}:
            return self._choice(key, value)
        if self.kind in {"string_too_short", "too_short"}:
            return f"{key} must not be empty", ""
        if self.kind in {"value_error", "assertion_error"}:
            return f"{key}: {self._without_secrets(self.error['msg'].split(', ', 1)[-1])}", ""
        return f"{key}: {self._without_secrets(self.error['msg'])}", ""

    def _remedy(self, wanted: str, value: Any) -> str:
        if value is None:
            return "give it a value, or take the key out"
        if wanted == _TYPES["dict_type"] and isinstance(value, list):
            return "write `name: {…}` for each, not a list"
        if wanted == "text" and isinstance(value, dict | list):
            return ""
        return _REMEDIES.get(wanted, "")

    def _choice(self, key: str, value: Any) -> tuple[str, str]:
        allowed = re.findall(r"'([^']*)'", str(self.context["expected"]))
        if not isinstance(value, str):
            return f"{key} must be one of {', '.join(allowed)}, and this is {shown(value)}", ""
        guess = did_you_mean(value, allowed)
        what = f"{key} must be one of {', '.join(allowed)}, and this is {self._quoted(value)}"
        return what, f"did you mean {guess!r}?" if guess else ""

    def _origin(self) -> str:
        """``the value of ${NAME}`` if an environment variable is in the value, else an empty string."""
        names = self.document.from_environment.get(self.path)
        return "the value of " + " and ".join(f"${{{name}}}" for name in names) if names else ""

    def _quoted(self, value: Any) -> str:
        return self._origin() or repr(value)

    def _without_secrets(self, text: str) -> str:
        """A rule's own words, in which what came from the environment is named by its variable."""
        origin = self._origin()
        value: Any = self.document.data
        for step in self.path if origin else ():
            value = below(value, step)
        if not origin or value in (None, ""):
            return text
        text = text.replace(repr(value), origin)
        return re.sub(rf"(?<!\w){re.escape(str(value))}(?!\w)", lambda _: origin, text)
