"""``ELSPETH_A__B=value`` in the environment, and what a caller overrides, instead of ``a.b`` in the file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elspeth.contracts.errors import Location
from elspeth.core.config.document import Document, KeyPath, Place, below, construct, did_you_mean
from elspeth.core.config.layout import SHORT_FORMS, annotation_at, item_of, keys_at, takes_text_only
from elspeth.core.config.pipeline import ONLY_SOURCE
from elspeth.core.config.scalars import BadScalar, resolve
from elspeth.core.config.yaml_errors import BadYaml
from elspeth.core.config.yaml_tree import compose

PREFIX = "ELSPETH_"
SEPARATOR = "__"
_NODES: frozenset[KeyPath] = frozenset({("sources",), ("queues",), ("sinks",)})


@dataclass(frozen=True, slots=True)
class _Override:
    origin: str
    steps: tuple[str, ...]
    value: Any
    variable: str = ""


def apply_environment(document: Document, environ: Mapping[str, str]) -> None:
    """Set what the ``ELSPETH_A__B`` variables say; variables without ``__`` are not overrides."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and SEPARATOR in name.removeprefix(PREFIX):
            steps = tuple(name.removeprefix(PREFIX).split(SEPARATOR))
            _apply(document, _Override(f"environment variable {name}", steps, environ[name], name))


def apply_overrides(document: Document, overrides: Mapping[str, Any]) -> None:
    """Set values by their dotted keys; they are taken as they are."""
    for key, value in overrides.items():
        _apply(document, _Override(f"override {key}", tuple(key.split(".")), value))


def _apply(document: Document, override: _Override) -> None:
    path = _path(document, override)
    if path is None:
        return
    if not isinstance(document.data, dict):
        return
    _forget(document, path)
    document.places[path] = Place(origin=override.origin)
    value = override.value
    if override.variable:
        value = _value(document, override, path)
        document.from_environment[path] = (override.variable,)
    _put(document.data, path, value)


def _forget(document: Document, path: KeyPath) -> None:
    """Forget what was known of a setting and all below it."""

    def other(found: KeyPath) -> bool:
        return found[: len(path)] != path

    document.places = {found: place for found, place in document.places.items() if other(found)}
    document.from_environment = {
        found: names for found, names in document.from_environment.items() if other(found)
    }
    document.doubtful = {found for found in document.doubtful if other(found)}
    key = document.dotted(path)
    document.problems = [
        problem for problem in document.problems if not f"{problem.key}.".startswith(f"{key}.")
    ]


def _path(document: Document, override: _Override) -> KeyPath | None:
    """The steps matched to keys of the file or, where it has none, to those that it may have."""
    path: KeyPath = ()
    here: Any = document.data
    for index, step in enumerate(_short_form(document, override.steps)):
        if isinstance(here, list):
            if not (step.isascii() and step.isdigit() and int(step) < len(here)):
                _unknown(document, override, path, step, [str(at) for at in range(len(here))])
                return None
            path = (*path, int(step))
            here = here[int(step)]
            continue
        present = list(here) if isinstance(here, dict) else []
        allowed = list(keys_at(_modelled(path)))
        key = _match(step, [*present, *allowed])
        if key is None:
            if not step or index == 0 or not _open_mapping(path):
                _unknown(document, override, path, step, [*present, *allowed])
                return None
            key = _new_key(path, step) if override.variable else step
        path = (*path, key)
        here = here.get(key) if isinstance(here, dict) else None
    return path


def _short_form(document: Document, steps: tuple[str, ...]) -> tuple[str, ...]:
    """``sources.source`` and ``experiments.0`` in terms of a file that uses the short forms."""
    data = document.data if isinstance(document.data, dict) else {}
    for short, first in (("source", ONLY_SOURCE), ("experiment", "0")):
        long = SHORT_FORMS[short]
        if len(steps) > 1 and (steps[0].lower(), steps[1].lower()) == (long, first):
            return (short, *steps[2:]) if short in data and long not in data else steps
    return steps


def _modelled(path: KeyPath) -> KeyPath:
    if path and path[0] == "source":
        return ("sources", ONLY_SOURCE, *path[1:])
    return ("experiments", 0, *path[1:]) if path and path[0] == "experiment" else path


def _open_mapping(path: KeyPath) -> bool:
    """Whether new keys may be made here: inside options and the like, but not new nodes."""
    annotation = annotation_at(_modelled(path))
    if annotation is None or annotation is Any:
        return len(path) > 2
    return path not in _NODES and item_of(annotation, "") is not None


def _new_key(path: KeyPath, step: str) -> str:
    """Keys are in lower case, unless they name environment variables."""
    return step if takes_text_only(item_of(annotation_at(_modelled(path)), "")) else step.lower()


def _match(step: str, keys: list[str]) -> str | None:
    """A key by its name in a variable, which knows neither case nor '-' and '.'."""
    if step in keys:
        return step
    wanted = re.sub(r"[-.]", "_", step.lower())
    return next((key for key in keys if re.sub(r"[-.]", "_", key.lower()) == wanted), None)


def _unknown(document: Document, override: _Override, path: KeyPath, step: str, known: list[str]) -> None:
    where = f"in {document.dotted(path)}" if path else "at the top of a pipeline file"
    guess = "" if all(map(str.isdigit, known)) else did_you_mean(step, known)
    shown = step.lower() if override.variable else step
    fix = f"did you mean {guess!r}?" if guess else ""
    if not guess:
        fix = f"known there: {', '.join(dict.fromkeys(known))}" if known else "unset it"
    what = f"there is no {shown!r} {where}" if step else "two names are needed on either side of '__'"
    document.problems.append(document.problem_at(Location(override.origin), what, fix, (*path, shown)))


def _value(document: Document, override: _Override, path: KeyPath) -> Any:
    """Text stays text where the setting is text; else it is read like an unquoted value of the file."""
    text: str = override.value
    annotation = annotation_at(_modelled(path))
    current: Any = document.data
    for step in path:
        current = below(current, step)
    if takes_text_only(annotation) or (annotation in {None, Any} and isinstance(current, str)):
        return text
    try:
        return _flow(text) if text[:1] in {"[", "{", '"', "'"} else resolve(text)
    except (BadScalar, BadYaml):
        # What exactly is wrong would show a part of the value, which may be a secret.
        what, fix = "its value is neither YAML nor plain text", "write text as '\"text\"'"
        document.problems.append(document.problem_at(Location(override.origin), what, fix, path))
        document.doubtful.add(path)
        return text


def _flow(text: str) -> Any:
    tree = compose(text)
    scratch = Document("", text)
    if tree is not None:
        construct(scratch, tree, {})
    if scratch.problems:
        raise BadScalar(scratch.problems[0].what, scratch.problems[0].fix)
    return scratch.data


def _put(data: Any, path: KeyPath, value: Any) -> None:
    for step in path[:-1]:
        inner = below(data, step)
        if not isinstance(inner, dict | list):
            inner = {}
            data[step] = inner
        data = inner
    data[path[-1]] = value
