"""``${NAME}`` and ``${NAME:-default}`` in the text of a value."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_REFERENCE = re.compile(
    r"\$(?P<escape>\$)?\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?"
)


class Expanded(NamedTuple):
    """A text with its variables replaced.

    ``used`` names the variables whose values are in it, ``missing`` those that are not set and
    have no default, ``broken`` the references that are not well-formed, as written.
    """

    text: str
    used: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Replace the references in ``text``; ``$${`` stands for a literal ``${``.

    As in a shell, a default also replaces a variable that is set to nothing. Values are not
    searched for further references.
    """
    if "${" not in text:
        return Expanded(text)
    used: list[str] = []
    missing: list[str] = []
    broken: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match["escape"]:
            return match[0][1:]
        if name is None:
            broken.append(text[match.start() : match.start() + 12])
            return match[0]
        value = environ.get(name)
        if value is None and default is None:
            missing.append(name)
            return match[0]
        if default is not None and not value:
            return default
        used.append(name)
        return value or ""

    result = _REFERENCE.sub(replacement, text)
    return Expanded(result, tuple(used), tuple(missing), tuple(broken))
