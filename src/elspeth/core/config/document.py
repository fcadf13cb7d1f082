"""A YAML file as plain data that knows where every key and value stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from elspeth.contracts.errors import Location, Problem
from elspeth.core.config.excerpts import excerpt
from elspeth.core.config.scalars import BadScalar, plain_collection, resolve, resolve_tagged, short_tag
from elspeth.core.config.variables import expand
from elspeth.core.config.yaml_errors import Mark
from elspeth.core.config.yaml_tree import ListNode, MapNode, Node, ScalarNode

KeyPath = tuple[str | int, ...]
MERGE = "<<"
PLUGIN, NULL = "plugin", "null"
_DEEPEST_PLUGIN = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting stands. ``origin`` names what set it if that was not the file."""

    key: Mark | None = None
    value: Mark | None = None
    scalar: bool = False
    origin: str = ""


@dataclass(slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) with positions.

    ``from_environment`` maps the key paths of values that contain environment variables to the
    names of these; ``problems`` collects what is wrong, ``doubtful`` the key paths whose value is
    not what the author meant, so that nobody complains about it twice, ``moved`` which settings
    are called otherwise than in the file, newest last.
    """

    file: str
    text: str
    data: Any = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    from_environment: dict[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[KeyPath] = field(default_factory=set)
    moved: list[tuple[KeyPath, KeyPath]] = field(default_factory=list)
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.text.split("\n")

    def locate(self, path: KeyPath, *, at_key: bool = False) -> Location:
        """The place of a setting, or of the nearest thing around it that is in the file.

        A scalar is located at its value, a mapping or list at its key (``at_key``: so is a scalar).
        """
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is None:
                continue
            if place.origin:
                return Location(place.origin)
            wanted = place.key if at_key or not place.scalar or length < len(path) else place.value
            mark = wanted or place.value
            if mark is not None:
                return self.location(mark)
        return Location(self.file)

    def location(self, mark: Mark) -> Location:
        """A mark in this file as a Location."""
        return Location(self.file, mark.line, mark.column)

    def problem(self, path: KeyPath, what: str, fix: str = "", *, at_key: bool = False) -> Problem:
        """A problem of the setting ``path``, with position and excerpt."""
        return self.problem_at(self.locate(path, at_key=at_key), what, fix, path)

    def problem_at(self, where: Location, what: str, fix: str = "", path: KeyPath = ()) -> Problem:
        """A problem at a location that is known already."""
        line = self.lines[where.line - 1] if 0 < where.line <= len(self.lines) else ""
        return Problem(what, fix, where, excerpt(line, where.column), self.dotted(path))

    def dotted(self, path: KeyPath) -> str:
        """A key path as the file's author would write it: ``gates.0.condition``."""
        for moved, original in reversed(self.moved):
            if path[: len(moved)] == moved:
                path = (*original, *path[len(moved) :])
        return ".".join(map(str, path))

    def is_doubtful(self, path: KeyPath) -> bool:
        """Whether this setting, or one that it is part of, is not what the author meant."""
        return any(path[:length] in self.doubtful for length in range(1, len(path) + 1))

    def move(self, old: KeyPath, new: KeyPath) -> None:
        """Call the setting ``old``, and all below it, ``new``; the data is the caller's business."""

        def moved(path: KeyPath) -> KeyPath:
            return (*new, *path[len(old) :]) if path[: len(old)] == old else path

        self.moved.append((new, old))
        self.places = {moved(path): place for path, place in self.places.items()}
        self.from_environment = {moved(path): names for path, names in self.from_environment.items()}
        self.doubtful = {moved(path) for path in self.doubtful}


def below(value: Any, step: str | int) -> Any:
    """The item of a mapping or list, None where there is none."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The word that was probably meant, or an empty string."""
    folded = {name.lower(): name for name in reversed(known)}
    close = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def construct(document: Document, root: Node, environ: Mapping[str, str]) -> None:
    """Fill ``document`` with the data of a tree, expanding variables from ``environ``."""
    builder = _Construction(document, environ)
    document.data = builder.build(root, (), None)


class _Construction:
    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ

    def build(self, node: Node, path: KeyPath, key: Mark | None) -> Any:
        scalar = isinstance(node, ScalarNode)
        self._document.places[path] = Place(key, node.mark, scalar)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        kind = "map" if isinstance(node, MapNode) else "seq"
        if not plain_collection(node.tag, kind):
            self._complain(path, f"the tag {short_tag(node.tag or '')} is not supported", "take the tag out")
        if isinstance(node, ListNode):
            return [self.build(item, (*path, index), None) for index, item in enumerate(node.items)]
        return {
            name: self.build(value, (*path, name), mark)
            for name, (mark, value) in self._entries(node, path).items()
        }

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        expanded = expand(node.value, self._environ)
        if expanded.used:
            self._document.from_environment[path] = expanded.used
        for name in expanded.missing:
            guess = did_you_mean(name, list(self._environ))
            self._complain(
                path,
                f"the environment variable {name} is not set" + (f"; did you mean {guess}?" if guess else ""),
                f"set it, or give a default: ${{{name}:-value}}",
            )
        for part in expanded.broken:
            self._complain(
                path,
                f"{part!r} is not a reference to an environment variable",
                "write ${NAME} or ${NAME:-default}; write $${ for a literal ${",
            )
        if any("\ud800" <= char <= "\udfff" for char in expanded.text):
            self._complain(path, "this text is not valid Unicode", "use UTF-8 in variables and escapes")
        try:
            if node.tag is not None:
                return resolve_tagged(expanded.text, node.tag)
            if node.plain and node.value == NULL and path[-1:] == (PLUGIN,) and len(path) <= _DEEPEST_PLUGIN:
                return NULL  # the plugin of that name: `plugin: null` has no other meaning
            return resolve(expanded.text) if node.plain else expanded.text
        except BadScalar as bad:
            what = "this number is too large or not finite" if expanded.used else bad.what
            self._complain(path, what, bad.fix)
            return expanded.text

    def _entries(self, node: MapNode, path: KeyPath) -> dict[str, tuple[Mark, Node]]:
        """The entries by name, those of merged mappings first, where a name comes up once."""
        merged: dict[str, tuple[Mark, Node]] = {}
        own: dict[str, tuple[Mark, Node]] = {}
        for key, value in node.entries:
            if not isinstance(key, ScalarNode):
                where = self._document.location(key.mark)
                self._report(where, "a key must be text, not a mapping or a list", "write `key: value`", path)
            elif key.value == MERGE and key.plain and key.tag is None:
                merged = self._merge(value, path) | merged
            elif key.value in own:
                first, second = own[key.value][0].line, key.mark.line
                lines = (
                    f"both in line {first}" if first == second else f"in line {first} and in line {second}"
                )
                self._report(
                    self._document.location(key.mark),
                    f"the key {key.value!r} stands twice: {lines}",
                    "keep one of the two",
                    (*path, key.value),
                )
            else:
                own[key.value] = (key.mark, value)
        return merged | own

    def _merge(self, value: Node, path: KeyPath) -> dict[str, tuple[Mark, Node]]:
        parts = value.items if isinstance(value, ListNode) else [value]
        result: dict[str, tuple[Mark, Node]] = {}
        for part in parts:
            if not isinstance(part, MapNode):
                where = self._document.location(value.mark)
                self._report(
                    where, "<< can merge mappings only", "name an anchored mapping: `<<: *name`", path
                )
                continue
            result = self._entries(part, path) | result
        return result

    def _complain(self, path: KeyPath, what: str, fix: str) -> None:
        self._document.doubtful.add(path)
        self._document.problems.append(self._document.problem(path, what, fix))

    def _report(self, where: Location, what: str, fix: str, path: KeyPath) -> None:
        self._document.problems.append(self._document.problem_at(where, what, fix, path))
