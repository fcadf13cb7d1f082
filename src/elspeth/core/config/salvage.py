"""What can still be made of a file with problems, so that its other problems are found as well.

A misspelt key is taken for what was probably meant; what can't be understood is taken out or, where
something must stand there, replaced. Nobody runs the result: it only has to be like the pipeline
that the author meant, and to be silent about all that is not.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from elspeth.contracts.errors import Problem
from elspeth.core.config.document import Document, KeyPath, below
from elspeth.core.config.layout import SHORT_FORMS, field_at
from elspeth.core.config.pipeline import ONLY_SOURCE, PipelineSettings
from elspeth.core.config.short_forms import adopt_model_paths
from elspeth.core.config.translate import Complaint, problems_of

_ROUNDS = 6
_ANY_CONDITION = "row['?']"  # gives labels that nobody can foresee
_NODE_SECTIONS = frozenset({"sources", "queues", "transforms", "gates", "aggregations", "coalesce", "sinks"})
_PARTS_OF_NO_WIRE = frozenset({"plugin", "options", "condition", "trigger"})
_EMPTY: dict[str, Any] = {
    "sources": {ONLY_SOURCE: {"plugin": "null"}},
    "sinks": {"output": {"plugin": "null"}},
}
_FIELDS: dict[str, Any] = {"plugin": "null", "condition": _ANY_CONDITION, "routes": {"true": "continue"}}


class Salvage:
    """Repairs a document's data until the models accept it, or gives up.

    ``problems`` are those that came to light only behind others. ``wired`` is False once something
    that the wiring depends on had to go: then nothing can be said of the wiring.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._touched: set[KeyPath] = set()
        self.problems: list[Problem] = []
        self.wired = True

    def settings(self, errors: Sequence[ErrorDetails]) -> PipelineSettings | None:
        """Settings like those that were meant, given what was wrong with the data as they were."""
        for path in list(self._document.doubtful):
            self._replace(path)
        for _ in range(_ROUNDS):
            self._repair(errors)
            try:
                return PipelineSettings.model_validate(self._document.data)
            except ValidationError as error:
                errors = error.errors(include_url=False)
            news = [error for error in errors if Complaint(error).path[:2] not in self._touched]
            self.problems += problems_of(self._document, news, PipelineSettings)
        return None

    def _repair(self, errors: Iterable[ErrorDetails]) -> None:
        complaints = [Complaint(error) for error in errors]
        for complaint in complaints:
            if complaint.kind == "extra_forbidden":
                self._rename(complaint)
        for complaint in complaints:
            path = complaint.path
            if complaint.kind == "missing":
                if not self._has(path):
                    self._replace(path)
            elif complaint.kind != "extra_forbidden":
                self._replace(path)

    def _rename(self, complaint: Complaint) -> None:
        """Take an unknown key for the one that was probably meant, else take it out."""
        path = complaint.path
        holder = self._at(path[:-1])
        if not isinstance(holder, dict) or path[-1] not in holder:
            return
        guess = complaint.guess(PipelineSettings)
        value = holder.pop(path[-1])
        if guess and guess not in holder and SHORT_FORMS.get(guess) not in holder:
            holder[guess] = value
            self._document.move(path, (*path[:-1], guess))
            adopt_model_paths(self._document)
        elif guess:
            self._forget(path)
        elif len(path) == 3 and path[0] in _NODE_SECTIONS:
            # Options are often written one level too high: nobody shall miss them in their place.
            self._document.doubtful.add((*path[:2], "options", path[-1]))

    def _replace(self, path: KeyPath) -> None:
        """Put something acceptable where nothing or something unacceptable stands."""
        if path[:1] and path[0] not in _NODE_SECTIONS:
            self._drop(path)
        elif len(path) == 1:
            self._forget(path)
            self._put(path, _EMPTY.get(str(path[0])))
        elif len(path) == 2:
            self._forget(path)
            section = self._at(path[:1])
            self._put(path, _placeholder(path) if isinstance(section, list) else None)
            if section == {}:
                self._put(path[:1], _EMPTY.get(str(path[0])))
        elif len(path) > 2 and not (path[2] == "options" and len(path) > 3):
            path = path[:3]
            self._document.doubtful.add(path)
            if path[0] == "coalesce" or path[2] in {"routes", "fork_to"}:
                self._touched.add(
                    path[:2]
                )  # rules of the node as a whole would complain of what was put there
            self.wired = self.wired and path[2] in _PARTS_OF_NO_WIRE
            named = path[0] in {"transforms", "gates", "aggregations", "coalesce"} and path[2] == "name"
            self._put(path, _placeholder(path)["name"] if named else _FIELDS.get(str(path[2])))

    def _drop(self, path: KeyPath) -> None:
        """Take out a setting that is no node's; with what holds it, if that can't be without it."""
        while len(path) > 1:
            field = field_at(path, PipelineSettings)
            if self._has(path) and field is not None and not field.is_required():
                break
            path = path[:-1]
        self._touched.add(path[:2])
        self._put(path, None)

    def _forget(self, path: KeyPath) -> None:
        self._document.doubtful.add(path)
        self._touched.add(path[:2])
        self.wired = False

    def _at(self, path: KeyPath) -> Any:
        value: Any = self._document.data
        for step in path:
            value = below(value, step)
        return value

    def _has(self, path: KeyPath) -> bool:
        holder = self._at(path[:-1])
        return isinstance(holder, dict) and path[-1] in holder

    def _put(self, path: KeyPath, value: Any) -> None:
        holder = self._at(path[:-1])
        if isinstance(holder, list) and isinstance(path[-1], int) and path[-1] < len(holder):
            holder[path[-1]] = value
        elif isinstance(holder, dict) and value is None:
            holder.pop(path[-1], None)
        elif isinstance(holder, dict):
            holder[path[-1]] = value


def _placeholder(path: KeyPath) -> dict[str, Any]:
    """A node for a place in a list where something else stands."""
    node: dict[str, Any] = {"name": f"{path[0]}_{path[1]}"}
    if path[0] == "gates":
        return node | {"condition": _ANY_CONDITION, "routes": {"true": "continue"}}
    return node | ({"branches": ["a", "b"]} if path[0] == "coalesce" else {"plugin": "null"})
