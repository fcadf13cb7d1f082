"""Collecting everything that is wrong with a graph."""

import difflib
from collections.abc import Iterable

from elspeth.contracts.errors import ConfigurationError, Location, Problem
from elspeth.core.config import LoadedPipeline

KeyPath = tuple[str | int, ...]


class Problems:
    """The problems found so far, each with its place in the file."""

    def __init__(self, loaded: LoadedPipeline) -> None:
        self._loaded = loaded
        self._found: list[Problem] = []

    def add(self, key: KeyPath, what: str, fix: str) -> None:
        """Note a problem of the setting at ``key``, or of what is around it if it is not there."""
        if self._loaded.is_doubtful(key):
            return
        self._found.append(self._loaded.problem(key, what, fix))

    def add_within(self, key: KeyPath, text: str, offset: int, problem: tuple[str, str]) -> None:
        """Note a problem (what, fix) inside the text of a setting, at its character ``offset``."""
        if self._loaded.is_doubtful(key):
            return
        base = self._loaded.problem(key, *problem)
        exact = self._exactly(base.location or Location(""), text, offset)
        self._found.append(self._loaded.document.problem_at(exact, *problem, key) if exact else base)

    def _exactly(self, where: Location, text: str, offset: int) -> Location | None:
        """Where a character of a text stands, if the file has that line of the text as it is.

        It has not where the text contains variables or escapes, or was folded.
        """
        if not where.line:
            return None
        begin = text.rfind("\n", 0, offset) + 1
        part = text[begin:].split("\n")[0]
        lines = self._loaded.text.split("\n")
        last = where.line + text.count("\n") + 1
        for number in range(where.line, min(last, len(lines)) + 1):
            start = lines[number - 1].find(part, where.column - 1 if number == where.line else 0)
            if start >= 0:
                return Location(where.file, number, start + offset - begin + 1)
        return None

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_any(self) -> None:
        """Raise ConfigurationError with all problems in file order, if there are any."""
        if self._found:
            unique = list(dict.fromkeys(self._found))
            raise ConfigurationError(sorted(unique, key=_position))


def _position(problem: Problem) -> tuple[bool, int, int]:
    where = problem.location or Location("")
    return (where.line == 0, where.line, where.column)


def meant(word: str, known: Iterable[str]) -> str:
    """The name that was probably meant, or an empty string."""
    names = list(known)
    same = [name for name in names if name.lower() == word.lower() and name != word]
    close = same or [name for name in difflib.get_close_matches(word, names, n=2, cutoff=0.6) if name != word]
    return close[0] if close else ""


def listed(names: Iterable[str], joint: str = "and") -> str:
    """``'a', 'b' and 'c'``."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {joint} {quoted[-1]}"
