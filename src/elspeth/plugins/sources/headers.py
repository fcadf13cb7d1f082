"""Column headings into field names."""

import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence

from elspeth.contracts.errors import SourceError

_OWN_NAMES = "give names for all columns with columns: [...] and has_header: true"
_NOT_IDENTIFIER = re.compile(r"\W+")


def field_name(heading: str) -> str:
    """The heading as a Python identifier: ``User ID`` → ``user_id``, ``1st`` → ``_1st``, ``if`` → ``if_``.

    Empty if nothing in the heading can be part of a name.
    """
    text = unicodedata.normalize("NFKC", heading).strip().lower()
    name = _NOT_IDENTIFIER.sub("_", text).strip("_")
    if not name:
        return ""
    if not name.isidentifier():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def field_names(headings: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Field name → heading, in order; ``mapping`` renames fields (by field name or heading).

    Raises SourceError for an empty heading, for two headings with one name, and for names in
    ``mapping`` that are not there.
    """
    fields: dict[str, str] = {}
    used = set()
    for number, heading in enumerate(headings, 1):
        name = field_name(heading)
        for key in (name, heading):
            if key in mapping:
                used.add(key)
                name = mapping[key]
                break
        if not name:
            raise SourceError(
                f"column {number} has no usable heading ({heading!r})",
                fix=f"name it in the file, or {_OWN_NAMES}",
            )
        if name in fields:
            raise SourceError(
                f"the headings {fields[name]!r} and {heading!r} both become the field {name!r}",
                fix=f"rename one in the file, or {_OWN_NAMES}",
            )
        fields[name] = heading
    if unknown := [key for key in mapping if key not in used]:
        raise SourceError(
            f"field_mapping names {unknown[0]!r}, which is not a column; there are: {', '.join(fields)}",
            fix="use the field name (lower case, _ for spaces) or the heading itself",
        )
    return fields
